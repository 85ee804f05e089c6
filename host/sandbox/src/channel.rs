//! Frames over a pair of sockets: a length, then bytes, and a file with the first of them where the host hands one over.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// What is read at first: most frames are as short.
const FIRST: usize = 16 << 10;
/// The length that stands before each frame, in bytes.
const HEADER: usize = 4;

/// One end of the pair.
#[derive(Debug)]
pub(crate) struct Channel(UnixStream);

/// A frame, and the file that came with it.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) file: Option<OwnedFd>,
}

/// Whether files are taken that come with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handed {
    /// By a worker, from its host.
    Taken,
    /// By the host: a worker has nothing to hand over.
    Dropped,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Channel {
        Channel(stream)
    }

    /// The stream, to end what the other side waits for.
    pub(crate) fn stream(&self) -> &UnixStream {
        &self.0
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The other side is gone, or does not listen until then.
    pub(crate) fn send(
        &self,
        frame: &[u8],
        file: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> io::Result<()> {
        let len = u32::try_from(frame.len())
            .map_err(|_| io::Error::other("a frame of more than 4 GiB"))?;
        let header = len.to_le_bytes();
        let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&files)) {
            return Err(io::Error::other("no room to hand a file over"));
        }
        self.wait_to_write(until)?;
        let parts = [IoSlice::new(&header), IoSlice::new(frame)];
        let sent = again(|| sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL))?;
        // What is left of the header, in the unlikely case, and of the frame.
        let header = header.get(sent.min(HEADER)..).unwrap_or_default();
        let frame = frame.get(sent.saturating_sub(HEADER)..).unwrap_or_default();
        for mut rest in [header, frame] {
            while !rest.is_empty() {
                self.wait_to_write(until)?;
                match (&self.0).write(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(())
    }

    /// Takes the next frame, of so many bytes at most; `None` when the other side is gone.
    ///
    /// # Errors
    /// `TimedOut` when nothing whole came until then; a frame that is too long, cut off, or followed by another one that
    /// nobody asked for.
    pub(crate) fn take(
        &self,
        most: u64,
        handed: Handed,
        until: Option<Instant>,
    ) -> io::Result<Option<Frame>> {
        let mut first = [0; FIRST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut file = None;
        let mut have = 0;
        while have < HEADER {
            self.wait_to_read(until)?;
            let mut control = match handed {
                Handed::Taken => RecvAncillaryBuffer::new(&mut space),
                Handed::Dropped => RecvAncillaryBuffer::default(),
            };
            let room = first.get_mut(have..).unwrap_or_default();
            let mut parts = [IoSliceMut::new(room)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let got = again(|| recvmsg(&self.0, &mut parts, &mut control, flags))?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(files) = message {
                    file = files.last().or(file);
                }
            }
            if got.bytes == 0 {
                return match have {
                    0 => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
            have += got.bytes;
        }
        let (header, body) = first.get(..have).unwrap_or_default().split_at(HEADER);
        let header: [u8; HEADER] = header.try_into().map_err(io::Error::other)?;
        let len = u64::from(u32::from_le_bytes(header));
        if len > most {
            return Err(io::Error::other(format!(
                "it sent {len} bytes at once: at most {most} are taken"
            )));
        }
        let len = usize::try_from(len).map_err(io::Error::other)?;
        if body.len() > len {
            return Err(io::Error::other("it sent more than was asked for"));
        }
        let mut bytes = body.to_vec();
        self.rest(&mut bytes, len, until)?;
        Ok(Some(Frame { bytes, file }))
    }

    /// Without a time the socket stays as it is: a worker never sets one, and may not.
    fn wait_to_read(&self, until: Option<Instant>) -> io::Result<()> {
        match until {
            Some(until) => self.0.set_read_timeout(Some(left(until)?)),
            None => Ok(()),
        }
    }

    fn wait_to_write(&self, until: Option<Instant>) -> io::Result<()> {
        match until {
            Some(until) => self.0.set_write_timeout(Some(left(until)?)),
            None => Ok(()),
        }
    }

    /// The rest of a frame of that length. Room is made as bytes come, not as they are promised.
    fn rest(&self, bytes: &mut Vec<u8>, len: usize, until: Option<Instant>) -> io::Result<()> {
        while bytes.len() < len {
            self.wait_to_read(until)?;
            let wanted = (len - bytes.len()).min(bytes.len().max(FIRST));
            let before = bytes.len();
            bytes.resize(before + wanted, 0);
            let room = bytes.get_mut(before..).unwrap_or_default();
            let got = match (&self.0).read(room) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
                Err(e) => return Err(timed_out(e)),
            };
            bytes.truncate(before + got);
        }
        Ok(())
    }
}

/// The time that is left; an error when there is none.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

fn again<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(|e| timed_out(e.into())),
        }
    }
}

/// A socket with a timeout says that it would block.
fn timed_out(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => e,
    }
}
