//! Negotiate and NTLM by the system's GSSAPI library, which is loaded if it is there (docs/decisions/0014).

use crate::protocol::Pair;
use crate::sys::gssapi::{Context, Mechanism};
use openbits_core::AuthScheme;
use std::time::Duration;

/// Longest time for one step: it may ask a key distribution centre.
const PATIENCE: Duration = Duration::from_secs(30);

/// A handshake with one peer.
#[derive(Debug)]
pub(super) struct Handshake {
    scheme: AuthScheme,
    host: String,
    pair: Option<Pair>,
    /// Absent before the first step, and while a step is under way.
    context: Option<Context>,
}

impl Handshake {
    /// With a name and password, or (None) as whom the owner is logged on: his ticket cache.
    pub(super) fn new(scheme: AuthScheme, host: &str, pair: Option<Pair>) -> Self {
        Self { scheme, host: host.to_owned(), pair, context: None }
    }

    /// The next token for the peer, from the peer's last one. Why not, in one sentence, if there is none.
    pub(super) async fn step(&mut self, token: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
        let context = self.context.take();
        if token.is_some() != context.is_some() {
            return Err("The handshake was broken off.".to_owned());
        }
        let (scheme, host, pair) = (self.scheme, self.host.clone(), self.pair.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut context = match context {
                Some(context) => context,
                None => {
                    let mechanism = match scheme {
                        AuthScheme::Ntlm => Mechanism::Ntlm,
                        _ => Mechanism::Spnego,
                    };
                    let pair = pair.as_ref().map(|pair| (pair.user.reveal(), pair.password.reveal()));
                    Context::new(mechanism, &host, pair)?
                }
            };
            let token = context.step(token.as_deref())?;
            Ok((context, token))
        });
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(Ok((context, token)))) => {
                self.context = Some(context);
                Ok(token)
            }
            Ok(Ok(Err(why))) => Err(why),
            Ok(Err(_)) => Err("The security library failed.".to_owned()),
            Err(_) => {
                Err(format!("The security library gave no answer within {} seconds.", PATIENCE.as_secs()))
            }
        }
    }
}
