//! A client that dies anywhere, a server that loses, forgets, rolls back and lies: the file is right, or the error is clear.

use super::*;
use crate::upload::fragment::{Decision, decide};
use crate::upload::{Ack, ContentRange, Packet, Progress, Refusal, SessionId};
use proptest::prelude::*;

/// What happens to one exchange.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// Nothing of the request arrives.
    LostRequest,
    /// A part of the body arrives, nothing comes back.
    Cut(u8),
    /// It is carried out, the answer is lost.
    LostAnswer,
    /// The same, and the client dies; what it had stored last is what it knows.
    Killed,
    /// The server forgets the session before it looks.
    Forgets,
    /// The server is back from a backup: it has fewer bytes.
    RollsBack(u8),
    /// It says another offset than it has (but not the end, which nobody could tell from the truth).
    Lies(u16),
    /// Something in between answers.
    Status(u16),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        8 => Just(Fault::None),
        1 => Just(Fault::LostRequest),
        2 => any::<u8>().prop_map(Fault::Cut),
        2 => Just(Fault::LostAnswer),
        2 => Just(Fault::Killed),
        1 => Just(Fault::Forgets),
        1 => any::<u8>().prop_map(Fault::RollsBack),
        1 => any::<u16>().prop_map(Fault::Lies),
        1 => prop_oneof![Just(500u16), Just(503), Just(413), Just(416), Just(200), Just(502)].prop_map(Fault::Status),
    ]
}

/// A server of sections 9 and 10; strict ones answer an overlap with 416.
struct Server {
    strict: bool,
    session: Option<(String, Vec<u8>, Option<u64>)>,
    delivered: Vec<Vec<u8>>,
    closed: Vec<String>,
    next_id: u32,
}

impl Server {
    fn ack(refusal: Refusal) -> (u16, Vec<(&'static str, String)>) {
        let ack = Ack::refuse(refusal, None);
        (ack.status, ack.headers())
    }

    fn take(&mut self, ask: &Ask, source: &[u8], arrives: u64) -> (u16, Vec<(&'static str, String)>) {
        let mut headers: Vec<(&str, String)> = ask.headers.clone();
        headers.push(("Content-Length", ask.body.len().to_string()));
        let envelope = crate::upload::Envelope::parse(true, &headers[..]).expect("our own packets are sound");
        let packet = envelope.packet(&headers[..]).expect("our own packets are sound");
        let mut ok = Ack::ok(None);
        match packet {
            Packet::Ping => {}
            Packet::Create => {
                self.next_id += 1;
                let id = format!("s{}", self.next_id);
                self.session = Some((id.clone(), Vec::new(), None));
                ok.session = Some(SessionId::try_from(id).unwrap());
                ok.created = true;
            }
            Packet::Fragment(id) => {
                let Some((own, data, total)) = self.session.as_mut().filter(|s| s.0 == id.as_str()) else {
                    return Self::ack(Refusal::SessionNotFound);
                };
                let _ = own;
                let range = envelope.range(&headers[..]).expect("our own ranges are sound");
                let next = data.len() as u64;
                let overlaps = matches!(range, ContentRange::Span { first, .. } if first != next);
                if self.strict && overlaps {
                    return Self::ack(Refusal::OutOfStep { next });
                }
                match decide(Progress { next, total: *total }, range, u64::MAX, u64::MAX) {
                    Err(refusal) => return Self::ack(refusal),
                    Ok(Decision::Duplicate { .. }) => {}
                    Ok(Decision::Write { skip, length, total: all }) => {
                        *total = Some(all);
                        let Payload::File { offset, .. } = ask.body else {
                            ok.received = Some(0);
                            return (200, ok.headers());
                        };
                        let got = length.min(arrives.saturating_sub(skip));
                        let from = (offset + skip) as usize;
                        data.extend_from_slice(&source[from..from + got as usize]);
                    }
                }
                ok.received = Some(data.len() as u64);
            }
            Packet::Close(id) => {
                if self.closed.iter().any(|c| c == id.as_str()) && self.strict {
                    return Self::ack(Refusal::SessionNotFound);
                }
                match self.session.take_if(|s| s.0 == id.as_str()) {
                    Some((id, data, total)) => {
                        self.closed.push(id);
                        if total == Some(data.len() as u64) {
                            self.delivered.push(data);
                        }
                    }
                    None if self.closed.iter().any(|c| c == id.as_str()) => {}
                    None => return Self::ack(Refusal::SessionNotFound),
                }
            }
            Packet::Cancel(_) => self.session = None,
        }
        (200, ok.headers())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_server_and_any_kill_end_in_the_same_file_or_a_clear_error(
        size in prop_oneof![Just(0u64), 1u64..40_000],
        strict in any::<bool>(),
        faults in prop::collection::vec(fault(), 0..40),
    ) {
        let source: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
        let mut server =
            Server { strict, session: None, delivered: vec![], closed: vec![], next_id: 0 };
        let mut stored = UploadState::default();
        let mut plan = Bits::new(target(size, false), stored.clone());
        let mut faults = faults.into_iter();
        let mut lost_sessions = 0;
        // What a server loses after the client has asked it to deliver, no client can tell (section 11, row 8).
        let mut lost_late = false;
        let mut steps = 0;
        let end = loop {
            steps += 1;
            prop_assert!(steps < 3000, "it does not end");
            let ask = match plan.step(NOW) {
                Next::Send(ask) => *ask,
                Next::Finished => break Ok(()),
                other => panic!("{other:?}"),
            };
            if plan.take_must_keep() {
                stored = plan.state().clone();
            }
            let fault = faults.next().unwrap_or(Fault::None);
            let length = ask.body.len();
            let cut = || Box::new(Fail::new(crate::hresult::ERROR_WINHTTP_CONNECTION_ERROR, "cut"));
            let turn = match fault {
                Fault::LostRequest => plan.broken(cut(), 0, NOW),
                Fault::Cut(part) => {
                    let arrives = length * u64::from(part) / 256;
                    // A request without a body either arrives or does not.
                    if length > 0 {
                        let _ = server.take(&ask, &source, arrives);
                    }
                    plan.broken(cut(), arrives, NOW)
                }
                Fault::LostAnswer => {
                    let _ = server.take(&ask, &source, length);
                    plan.broken(cut(), length, NOW)
                }
                Fault::Killed => {
                    let _ = server.take(&ask, &source, length);
                    plan = Bits::new(target(size, false), stored.clone());
                    Turn::Next
                }
                Fault::Status(status) => answer(&mut plan, status, &[]),
                other => {
                    match other {
                        Fault::Forgets => {
                            lost_late |= plan.state().received;
                            lost_sessions += usize::from(server.session.take().is_some());
                        }
                        Fault::RollsBack(part) => {
                            lost_late |= plan.state().received;
                            if let Some((_, data, _)) = &mut server.session {
                                data.truncate(data.len() * usize::from(part) / 256);
                            }
                        }
                        _ => {}
                    }
                    let (status, mut headers) = server.take(&ask, &source, length);
                    if let Fault::Lies(lie) = other
                        && let Some(told) = headers.iter_mut().find(|(n, _)| *n == "BITS-Received-Content-Range")
                        && size > 0
                    {
                        told.1 = (u64::from(lie) % size).to_string();
                    }
                    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
                    answer(&mut plan, status, &headers)
                }
            };
            match turn {
                Turn::Next | Turn::Wait(_) => {}
                Turn::Fail(fail) => {
                    prop_assert!(!fail.code.is_ok() && !fail.detail.is_empty());
                    if fail.class == Class::Fatal {
                        break Err(fail);
                    }
                    // The job waits; the next attempt begins with what was stored.
                    stored = plan.state().clone();
                    plan = Bits::new(target(size, false), stored.clone());
                }
            }
        };
        match end {
            Ok(()) => {
                prop_assert!(lost_late || !server.delivered.is_empty(), "finished and not delivered");
                for file in &server.delivered {
                    prop_assert_eq!(file, &source);
                }
                // Only a session that the server lost may be delivered again.
                prop_assert!(server.delivered.len() <= 1 + lost_sessions);
            }
            Err(fail) => prop_assert!(
                [crate::hresult::BG_E_INVALID_SERVER_RESPONSE, HResult::from_http_status(413)].contains(&fail.code)
                    || fail.code.http_status().is_some(),
                "{fail:?}"
            ),
        }
    }
}
