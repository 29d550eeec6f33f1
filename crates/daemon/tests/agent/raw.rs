//! An origin that gives one answer, byte by byte, to whatever it is asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Answers until the test ends.
pub(crate) struct Raw {
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Raw {
    pub(crate) fn new(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(answer.into())));
        let (count, told) = (Arc::clone(&asked), Arc::clone(&answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, told) = (Arc::clone(&count), Arc::clone(&told));
                std::thread::spawn(move || talk(stream, &count, &told));
            }
        });
        Self { at, asked, answer }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/f", self.at)
    }

    /// Requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// From now on another answer.
    pub(crate) fn answers(&self, answer: impl Into<Vec<u8>>) {
        *self.answer.lock().unwrap() = answer.into();
    }
}

fn talk(mut stream: TcpStream, count: &AtomicUsize, answer: &Mutex<Vec<u8>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    count.fetch_add(1, Ordering::SeqCst);
    let bytes = answer.lock().unwrap().clone();
    let _ = stream.write_all(&bytes);
}
