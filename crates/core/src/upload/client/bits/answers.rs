//! What an Ack means (spec/upload-protocol.md 8.1, 8.2, 10.3).

use super::super::{Heard, Turn};
use super::{At, Bits, MAX_STILL, Sent, fail};
use crate::ErrorContext;
use crate::classify::{self, Class};
use crate::hresult::*;
use crate::plan::Fail;
use crate::upload::{Ack, MAX_URL, NO_FALLBACK_S, PacketType, UnreadableAck};

impl Bits {
    /// Table 8.1, from its top.
    pub(super) fn heard(&mut self, heard: &Heard<'_>, now_ms: i64) -> Turn {
        let kind = self.asked;
        let ack = match Ack::read(kind, heard.status, heard.headers) {
            Ok(ack) => ack,
            Err(error) => {
                let code = match error {
                    UnreadableAck::BadProtocol => BG_E_CLIENT_SERVER_PROTOCOL_MISMATCH,
                    UnreadableAck::NotBits | UnreadableAck::BadSessionId => BG_E_INVALID_SERVER_RESPONSE,
                };
                let detail = format!("No BITS upload here: {error}.");
                return Turn::Fail(fail(code, Class::Fatal, ErrorContext::RemoteFile, detail));
            }
        };
        if matches!(heard.status, 200 | 201) {
            return self.success(kind, &ack, heard.took_ms);
        }
        let code = ack.error.map(|error| error.code).filter(|code| !code.is_ok());
        if code == Some(BG_E_SESSION_NOT_FOUND) {
            return self.session_gone(kind, heard.repeated);
        }
        let context = ack.error.map_or(ErrorContext::RemoteFile, |error| error.context);
        let status_code = HResult::from_http_status(heard.status);
        let detail = format!("The server answered {kind} with status {}.", heard.status);
        let fatal = |code| Turn::Fail(fail(code, Class::Fatal, ErrorContext::RemoteFile, detail.clone()));
        let is_fragment = kind == PacketType::Fragment;
        match (heard.status, code) {
            (401 | 407, _) => fatal(status_code),
            (416, _) if is_fragment => self.adopt(&ack, heard.took_ms),
            (413, _) if is_fragment => match self.sizes.refused(self.sent.length) {
                Some(cap) => {
                    self.state.body_max = Some(cap);
                    Turn::Next
                }
                None => fatal(status_code),
            },
            (403, sent) => fatal(sent.unwrap_or(status_code)),
            (_, Some(sent @ (BG_E_TOO_LARGE | E_INVALIDARG))) => fatal(sent),
            (400, _) if is_fragment && self.target.size() == 0 => fatal(E_INVALIDARG),
            (status, sent) => {
                let by_backend = is_fragment && context == ErrorContext::RemoteApplication;
                let context = if by_backend { context } else { ErrorContext::RemoteFile };
                // Close-Session is repeated after any 5xx and after nothing else (section 5.4).
                let class = match kind {
                    PacketType::CloseSession if status >= 500 => Class::Transient,
                    PacketType::CloseSession => Class::Fatal,
                    _ => classify::http_class(status),
                };
                let mut failed = fail(sent.unwrap_or(status_code), class, context, detail);
                failed.retry_after_ms = heard.retry_after_ms(now_ms);
                self.failed(failed, now_ms)
            }
        }
    }

    fn success(&mut self, kind: PacketType, ack: &Ack, took_ms: u64) -> Turn {
        match kind {
            PacketType::Ping => self.at = self.onward(),
            PacketType::CreateSession => {
                self.state.session = ack.session.as_ref().map(|id| id.as_str().to_owned());
                if let Some(host) = &ack.host {
                    self.state.host = Some(host.host.clone());
                    self.state.fallback_s = (host.fallback_s != NO_FALLBACK_S).then_some(host.fallback_s);
                    self.state.host_lost_ms = None;
                }
                self.must_keep = true;
                self.probe = false;
                // A new host is tried with a Ping before anything relies on it (section 12).
                self.at = if ack.host.is_some() { At::Ping } else { At::Fragment };
            }
            PacketType::Fragment => return self.adopt(ack, took_ms),
            PacketType::CloseSession => {
                self.state.closed = true;
                self.at = At::Done;
            }
            PacketType::CancelSession | PacketType::Ack => {}
        }
        Turn::Next
    }

    /// The offset of the server is the truth (section 10.3).
    fn adopt(&mut self, ack: &Ack, took_ms: u64) -> Turn {
        let good = matches!(ack.status, 200 | 201);
        let size = self.target.size();
        let Sent { first, length } = self.sent;
        let Some(next) = ack.received.filter(|next| *next <= size) else {
            // One server misspells the header, on 416 only.
            if !good && ack.received.is_none() && !self.offset_missed {
                self.offset_missed = true;
                return self.restart();
            }
            let detail = "The server does not tell a possible offset.".to_owned();
            return Turn::Fail(fail(
                BG_E_INVALID_SERVER_RESPONSE,
                Class::Fatal,
                ErrorContext::RemoteFile,
                detail,
            ));
        };
        self.state.host_lost_ms = None;
        if good && !self.probe {
            self.sizes.took(length, took_ms);
        }
        self.probe = false;
        self.state.offset = next;
        if next == size {
            self.complete(ack, good && first + length == size);
            return Turn::Next;
        }
        self.final_again = false;
        // Neither the same offset again and again nor one that jumps to and fro is progress.
        if next > self.peak {
            (self.peak, self.still, self.cuts) = (next, 0, 0);
            return Turn::Next;
        }
        if next <= first {
            self.still += 1;
        }
        if self.still >= MAX_STILL {
            let detail = "The server takes the fragments and does not get any further.";
            return Turn::Fail(Box::new(Fail::new(BG_E_NO_PROGRESS, detail)));
        }
        Turn::Next
    }

    /// The server has every byte. `with_last`: it said so to the fragment that held the last one.
    fn complete(&mut self, ack: &Ack, with_last: bool) {
        self.final_again = false;
        if self.target.wants_reply {
            if let Some(url) = ack.reply_url.as_ref().filter(|url| url.chars().count() <= MAX_URL) {
                self.state.reply_url = Some(url.clone());
            } else if !with_last && !self.asked_again {
                (self.asked_again, self.final_again) = (true, true);
                self.at = At::Fragment;
                return;
            }
        }
        self.state.received = true;
        self.at = self.onward();
    }

    fn session_gone(&mut self, kind: PacketType, repeated: bool) -> Turn {
        if kind == PacketType::CloseSession && (self.close_before || repeated) {
            // The answer to an earlier one was lost; the file is delivered (section 11, row 8).
            self.state.closed = true;
            self.at = At::Done;
            return Turn::Next;
        }
        self.restart()
    }
}
