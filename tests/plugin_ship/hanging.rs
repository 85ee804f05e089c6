//! A registry that begins to take an upload and hangs up in the middle of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// So many bytes of an upload are read before it hangs up: fewer than the smallest one has.
const READ: usize = 100;

pub(crate) struct Hanging {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    methods: Arc<Mutex<Vec<String>>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Hanging {
    pub(crate) fn start() -> std::io::Result<Hanging> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (stopping, methods) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stop, seen) = (Arc::clone(&stopping), Arc::clone(&methods));
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                // A client that hangs up is what this is about.
                let _ = answer(&stream, &seen);
            }
        });
        Ok(Hanging {
            address,
            stopping,
            methods,
            acceptor: Some(acceptor),
        })
    }

    /// Host and port.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The methods of all requests so far.
    pub(crate) fn methods(&self) -> Vec<String> {
        let methods = self.methods.lock();
        methods.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees that it should stop.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn answer(mut stream: &TcpStream, methods: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let method = head.split(' ').next().unwrap_or_default().to_owned();
    let said = match method.as_str() {
        "PUT" => {
            reader.read_exact(&mut [0; READ])?;
            ""
        }
        "POST" => {
            "HTTP/1.1 202 Accepted\r\nLocation: /upload\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        }
        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    };
    let all = methods.lock();
    all.unwrap_or_else(PoisonError::into_inner).push(method);
    stream.write_all(said.as_bytes())
}
