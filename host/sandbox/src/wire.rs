//! What the host and a worker say to each other, as bytes. Whatever comes from a worker may be a lie: it is read within
//! bounds, and nothing is made room for before it is there.

use weir_core::digest::{Digest, ObjectId};
use weir_core::grant::{Bytes, Fuel, Limits, Millis};
use weir_core::random::Seed;
use weir_core::tree::DirEntry;

use crate::Role;
use crate::answer::{Ask, Gave};
use crate::bindings::tree::FsError;
use crate::error::Failure;
use crate::run::Terms;
use crate::values::{Params, TargetFacts, Usage};

mod outcome;
mod parts;

use outcome::{put_failure, put_gave, put_usage, take_ended, take_usage};
pub(crate) use parts::Malformed;
use parts::{Put, Take};

/// Entries of one listing: more than a tree may have.
const ENTRIES: usize = 1 << 20;
/// Names of one list in the parameters.
const NAMES: usize = 1 << 20;
/// Objects that a call may be about.
const OBJECTS: usize = 1 << 20;

/// What the host says to a worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Here is code; a file comes with it.
    Load(Digest, Role),
    /// Run what was loaded.
    Run(Digest, Box<Terms>, Asked),
    /// The entries that were asked for.
    Entries(Result<Vec<DirEntry>, FsError>),
    /// The file that was asked for.
    File(Result<Vec<u8>, FsError>),
    /// The question is not answered: the call ends.
    Stop,
    /// Try what must be refused.
    Try(u8),
}

/// What a plugin is asked, with what it is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Render,
    Transform(Vec<Vec<u8>>),
    Validate(Vec<Vec<u8>>),
}

/// What a worker says to the host.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It is confined, in this way, and waits.
    Ready(Report),
    /// What became of code.
    Loaded(Result<(), Unfit>),
    /// The guest asks for the entries of a directory.
    Entries(String),
    /// The guest asks for a file.
    File(String),
    /// What came of a run.
    Ran(Usage, Box<Result<Gave, Failure>>),
    /// What came of an attempt: how it was refused, or what was done.
    Tried(Result<String, String>),
}

/// What confines a worker, as far as that is not known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// The version of Landlock; 0 for none.
    pub(crate) landlock: u32,
    /// Whether system calls are filtered.
    pub(crate) filter: bool,
    /// Whether it has no capabilities.
    pub(crate) powerless: bool,
}

/// Why code cannot be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is no code of this build.
    Code(String),
    /// The component does not fit its role's world.
    World(String),
}

impl Asked {
    /// The same, borrowed.
    pub(crate) fn ask(&self) -> Ask<'_> {
        match self {
            Asked::Render => Ask::Render,
            Asked::Transform(objects) => Ask::Transform(objects),
            Asked::Validate(objects) => Ask::Validate(objects),
        }
    }
}

/// A run's request, made of what is borrowed: its objects may be large.
pub(crate) fn run_request(plugin: Digest, terms: &Terms, ask: Ask<'_>) -> Vec<u8> {
    let mut put = Put::new(2);
    put.fixed(plugin.as_bytes());
    put.u8(role_code(ask.role()));
    if let Ask::Transform(objects) | Ask::Validate(objects) = ask {
        put.list(objects, |put, object| put.bytes(object));
    }
    put_terms(&mut put, terms);
    put.done()
}

/// The answer to a question about a directory.
pub(crate) fn entries_request(answer: &Result<Vec<DirEntry>, FsError>) -> Vec<u8> {
    let mut put = Put::new(3);
    match answer {
        Err(error) => put.u8(error_code(*error)),
        Ok(entries) => {
            put.u8(0);
            put.list(entries, |put, entry| {
                put.text(&entry.name);
                put.option(entry.file.as_ref(), |put, id| put.fixed(id.as_bytes()));
                put.u64(entry.size);
                put.bool(entry.executable);
            });
        }
    }
    put.done()
}

/// The answer to a question about a file.
pub(crate) fn file_request(answer: Result<&[u8], FsError>) -> Vec<u8> {
    let mut put = Put::new(4);
    match answer {
        Err(error) => put.u8(error_code(error)),
        Ok(bytes) => {
            put.u8(0);
            put.bytes(bytes);
        }
    }
    put.done()
}

impl Request {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Request::Load(digest, role) => {
                let mut put = Put::new(1);
                put.fixed(digest.as_bytes());
                put.u8(role_code(*role));
                put.done()
            }
            Request::Run(plugin, terms, asked) => run_request(*plugin, terms, asked.ask()),
            Request::Entries(answer) => entries_request(answer),
            Request::File(answer) => file_request(answer.as_deref().map_err(|e| *e)),
            Request::Stop => Put::new(5).done(),
            Request::Try(probe) => {
                let mut put = Put::new(6);
                put.u8(*probe);
                put.done()
            }
        }
    }

    pub(crate) fn decode(frame: &[u8]) -> Result<Request, Malformed> {
        let mut take = Take::new(frame);
        let request = match take.u8()? {
            1 => Request::Load(Digest::from_bytes(take.fixed()?), role(take.u8()?)?),
            2 => {
                let plugin = Digest::from_bytes(take.fixed()?);
                let asked = match role(take.u8()?)? {
                    Role::Renderer => Asked::Render,
                    Role::Transformer => Asked::Transform(take.list(OBJECTS, Take::bytes)?),
                    Role::Validator => Asked::Validate(take.list(OBJECTS, Take::bytes)?),
                };
                let terms = Box::new(take_terms(&mut take)?);
                Request::Run(plugin, terms, asked)
            }
            3 => Request::Entries(match take.u8()? {
                0 => Ok(take.list(ENTRIES, take_entry)?),
                code => Err(fs_error(code)?),
            }),
            4 => Request::File(match take.u8()? {
                0 => Ok(take.bytes()?),
                code => Err(fs_error(code)?),
            }),
            5 => Request::Stop,
            6 => Request::Try(take.u8()?),
            _ => return Err(Malformed("a request of no known kind")),
        };
        take.end()?;
        Ok(request)
    }
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let put = match self {
            Reply::Ready(report) => {
                let mut put = Put::new(1);
                put.u32(report.landlock);
                put.bool(report.filter);
                put.bool(report.powerless);
                put
            }
            Reply::Loaded(result) => {
                let mut put = Put::new(2);
                match result {
                    Ok(()) => put.u8(0),
                    Err(Unfit::Code(why)) => {
                        put.u8(1);
                        put.text(why);
                    }
                    Err(Unfit::World(why)) => {
                        put.u8(2);
                        put.text(why);
                    }
                }
                put
            }
            Reply::Entries(dir) => {
                let mut put = Put::new(3);
                put.text(dir);
                put
            }
            Reply::File(path) => {
                let mut put = Put::new(4);
                put.text(path);
                put
            }
            Reply::Ran(usage, gave) => {
                let mut put = Put::new(5);
                put_usage(&mut put, usage);
                match gave.as_ref() {
                    Ok(gave) => put_gave(&mut put, gave),
                    Err(failure) => put_failure(&mut put, failure),
                }
                put
            }
            Reply::Tried(result) => {
                let mut put = Put::new(6);
                put.bool(result.is_ok());
                let (Ok(text) | Err(text)) = result;
                put.text(text);
                put
            }
        };
        put.done()
    }

    /// Reads what a worker says. It may be anything.
    pub(crate) fn decode(frame: &[u8]) -> Result<Reply, Malformed> {
        let mut take = Take::new(frame);
        let reply = match take.u8()? {
            1 => Reply::Ready(Report {
                landlock: take.u32()?,
                filter: take.bool()?,
                powerless: take.bool()?,
            }),
            2 => Reply::Loaded(match take.u8()? {
                0 => Ok(()),
                1 => Err(Unfit::Code(take.text()?)),
                2 => Err(Unfit::World(take.text()?)),
                _ => return Err(Malformed("what became of code, in no known way")),
            }),
            3 => Reply::Entries(take.text()?),
            4 => Reply::File(take.text()?),
            5 => {
                let usage = take_usage(&mut take)?;
                Reply::Ran(usage, Box::new(take_ended(&mut take)?))
            }
            6 => Reply::Tried(match take.bool()? {
                true => Ok(take.text()?),
                false => Err(take.text()?),
            }),
            _ => return Err(Malformed("a reply of no known kind")),
        };
        take.end()?;
        Ok(reply)
    }
}

/// What a seed takes at most, in bytes.
const SEED: usize = 64;

fn put_terms(put: &mut Put, terms: &Terms) {
    let Limits {
        fuel,
        memory,
        output,
        time,
        host_calls,
    } = terms.limits;
    for amount in [
        fuel.0,
        memory.0,
        output.0,
        time.0,
        host_calls,
        terms.instant,
    ] {
        put.u64(amount);
    }
    let params = &terms.params;
    put.text(&params.app);
    put.text(&params.path);
    put.option(params.namespace.as_ref(), |put, text| put.text(text));
    put.text(&params.target.name);
    put.text(&params.target.kubernetes);
    put.list(&params.target.apis, |put, api| put.text(api));
    put.bytes(&params.config);
    // Last, and with room for it: a buffer that grows later would leave a seed behind in the one before.
    put.room(SEED);
    put.option(terms.random.as_ref(), |put, seed| put.fixed(seed.expose()));
}

fn take_terms(take: &mut Take<'_>) -> Result<Terms, Malformed> {
    Ok(Terms {
        limits: Limits {
            fuel: Fuel(take.u64()?),
            memory: Bytes(take.u64()?),
            output: Bytes(take.u64()?),
            time: Millis(take.u64()?),
            host_calls: take.u64()?,
        },
        instant: take.u64()?,
        params: Params {
            app: take.text()?,
            path: take.text()?,
            namespace: take.option(Take::text)?,
            target: TargetFacts {
                name: take.text()?,
                kubernetes: take.text()?,
                apis: take.list(NAMES, Take::text)?,
            },
            config: take.bytes()?,
        },
        random: take.option(|take| take.fixed().map(Seed::new))?,
    })
}

fn take_entry(take: &mut Take<'_>) -> Result<DirEntry, Malformed> {
    Ok(DirEntry {
        name: take.text()?,
        file: take.option(|take| take.fixed().map(ObjectId::from_bytes))?,
        size: take.u64()?,
        executable: take.bool()?,
    })
}

fn role_code(role: Role) -> u8 {
    match role {
        Role::Renderer => 0,
        Role::Transformer => 1,
        Role::Validator => 2,
    }
}

fn role(code: u8) -> Result<Role, Malformed> {
    match code {
        0 => Ok(Role::Renderer),
        1 => Ok(Role::Transformer),
        2 => Ok(Role::Validator),
        _ => Err(Malformed("no known role")),
    }
}

fn error_code(error: FsError) -> u8 {
    match error {
        FsError::NotFound => 1,
        FsError::NotADirectory => 2,
        FsError::IsADirectory => 3,
        FsError::InvalidPath => 4,
    }
}

fn fs_error(code: u8) -> Result<FsError, Malformed> {
    match code {
        1 => Ok(FsError::NotFound),
        2 => Ok(FsError::NotADirectory),
        3 => Ok(FsError::IsADirectory),
        4 => Ok(FsError::InvalidPath),
        _ => Err(Malformed("no known answer about a file")),
    }
}

#[cfg(test)]
mod tests;
