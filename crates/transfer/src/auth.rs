//! Authentication at servers and proxies (spec/behaviour.md 19; RFC 9110, 7616, 7617, 4559).
//!
//! The strongest scheme that is offered and that the job has credentials for is tried first: Negotiate, NTLM, Digest, Basic. An answer
//! goes only to whom the credentials are for: the first origin of a file, or the proxy; never to where a redirect leads. Basic goes to
//! a server over https only, unless the policy says otherwise.
//!
//! Headers that the job holds back (HttpCustomAuthHeaders) come last: when nothing else answers the challenge, they go to whom asks, once.

mod challenge;
mod gss;
mod held_back;
mod netrc;

#[cfg(feature = "fuzzing")]
pub(crate) use netrc::find as find_in_netrc;

use crate::protocol::{Credential, Note, Pair, TransferOptions};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use challenge::Challenge;
use gss::Handshake;
use held_back::HeldBack;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use http_auth::{DigestClient, PasswordParams};
use openbits_core::{AuthScheme, AuthTarget};
use zeroize::Zeroizing;

/// Strongest first.
const ORDER: [AuthScheme; 4] =
    [AuthScheme::Negotiate, AuthScheme::Ntlm, AuthScheme::Digest, AuthScheme::Basic];
/// Challenges of one peer that are answered before the first success, and between two.
const MAX_ROUNDS: u32 = 10;
/// Nonces in a row that a server may call stale.
const MAX_STALE: u32 = 2;
/// Events that are kept until they are told.
const MAX_NOTES: usize = 64;

/// Who asks for credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) target: AuthTarget,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What is sent cannot be read on the way.
    pub(crate) private: bool,
    /// User and password of the URL or proxy setting.
    pub(crate) login: Option<Pair>,
}

/// What is known of one peer.
#[derive(Debug)]
struct Session {
    peer: Peer,
    state: State,
    /// Schemes that lead nowhere.
    tried: Vec<AuthScheme>,
    /// Why, in sentences.
    why: Vec<String>,
    /// What the peer offered last.
    offered: Vec<String>,
    rounds: u32,
    accepted: bool,
    /// The headers that are held back go to it, since it asked.
    told: bool,
}

#[derive(Debug)]
enum State {
    Nothing,
    Basic(HeaderValue, Pair),
    Digest {
        client: Box<DigestClient>,
        pair: Pair,
        stale: u32,
    },
    /// NTLM and Negotiate: the connection is authenticated, not the request.
    Bound {
        scheme: AuthScheme,
        handshake: Box<Handshake>,
        next: Option<HeaderValue>,
        user: String,
        legs: u32,
    },
}

impl State {
    fn scheme(&self) -> Option<AuthScheme> {
        match self {
            Self::Nothing => None,
            Self::Basic(..) => Some(AuthScheme::Basic),
            Self::Digest { .. } => Some(AuthScheme::Digest),
            Self::Bound { scheme, .. } => Some(*scheme),
        }
    }

    fn user(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::Basic(_, pair) | Self::Digest { pair, .. } => pair.user.reveal(),
            Self::Bound { user, .. } => user,
        }
    }
}

/// Credentials of one attempt, and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Auth {
    credentials: Vec<Credential>,
    plaintext_basic: bool,
    stored: bool,
    /// The server gets no login at all, also not the owner's own.
    anonymous: bool,
    held_back: HeldBack,
    sessions: Vec<Session>,
    notes: Vec<Note>,
}

impl Auth {
    pub(crate) fn new(options: &TransferOptions) -> Self {
        Self {
            credentials: options.credentials.clone(),
            plaintext_basic: options.plaintext_basic,
            stored: options.stored_proxy_credentials,
            anonymous: options.anonymous,
            held_back: HeldBack::new(&options.challenge_headers),
            ..Self::default()
        }
    }

    fn session(&mut self, peer: &Peer) -> &mut Session {
        let at = match self.sessions.iter().position(|session| session.peer == *peer) {
            Some(at) => at,
            None => {
                self.sessions.push(Session {
                    peer: peer.clone(),
                    state: State::Nothing,
                    tried: Vec::new(),
                    why: Vec::new(),
                    offered: Vec::new(),
                    rounds: 0,
                    accepted: false,
                    told: false,
                });
                self.sessions.len() - 1
            }
        };
        &mut self.sessions[at]
    }

    /// Puts what the peer wants to see into a request.
    pub(crate) fn dress<B>(&mut self, request: &mut http::Request<B>, peer: &Peer) {
        self.show_credentials(request, peer);
        if self.session(peer).told {
            self.held_back.put(peer.target, request.headers_mut());
        }
    }

    /// A header of the same name that the caller set stays.
    fn show_credentials<B>(&mut self, request: &mut http::Request<B>, peer: &Peer) {
        let name = match peer.target {
            AuthTarget::Server => AUTHORIZATION,
            AuthTarget::Proxy => PROXY_AUTHORIZATION,
        };
        if request.headers().contains_key(&name) {
            return;
        }
        let method = request.method().as_str().to_owned();
        let uri = match request.uri().path_and_query() {
            Some(path) => path.as_str().to_owned(),
            None => request.uri().to_string(), // CONNECT
        };
        if let Some(value) = self.value(peer, &method, &uri) {
            request.headers_mut().insert(name, value);
        }
    }

    fn value(&mut self, peer: &Peer, method: &str, uri: &str) -> Option<HeaderValue> {
        let basic = self.may_send_basic(peer);
        let session = self.session(peer);
        // What somebody wrote into a URL is sent unasked, as curl does (docs/decisions/0014).
        if matches!(session.state, State::Nothing)
            && basic
            && !session.tried.contains(&AuthScheme::Basic)
            && let Some(pair) = &peer.login
        {
            session.state = State::Basic(self::basic(pair), pair.clone());
        }
        let text = match &mut session.state {
            State::Nothing => return None,
            State::Basic(value, _) => return Some(value.clone()),
            State::Bound { next, .. } => return next.take(),
            State::Digest { client, pair, .. } => client.respond(&PasswordParams {
                username: pair.user.reveal(),
                password: pair.password.reveal(),
                uri,
                method,
                body: None,
            }),
        };
        sensitive(&text.ok()?)
    }

    fn may_send_basic(&self, peer: &Peer) -> bool {
        peer.private || self.plaintext_basic || peer.target == AuthTarget::Proxy
    }

    /// The peer wants to know who asks. True: send the request again ([`Auth::is_bound`]: on the same connection).
    pub(crate) async fn challenged(&mut self, peer: &Peer, headers: &HeaderMap) -> bool {
        let (challenges, offered) = challenge::read(headers, peer.target);
        let session = self.session(peer);
        session.offered = offered;
        if session.told {
            session.why.push("The headers that the job has for that were refused.".to_owned());
            return false;
        }
        if self.answers(peer, challenges).await {
            return true;
        }
        let told = self.held_back.is_for(peer.target);
        self.session(peer).told = told;
        told
    }

    /// The job has credentials that the peer did not refuse yet.
    async fn answers(&mut self, peer: &Peer, mut challenges: Vec<Challenge>) -> bool {
        let session = self.session(peer);
        session.rounds += 1;
        if session.rounds > MAX_ROUNDS {
            session.why.push("It asks again and again.".to_owned());
            return false;
        }
        if self.go_on(peer, &mut challenges).await {
            return true;
        }
        for scheme in ORDER {
            let Some(at) = challenges.iter().position(|challenge| challenge.scheme() == scheme) else {
                continue;
            };
            if self.session(peer).tried.contains(&scheme) {
                continue;
            }
            let challenge = challenges.swap_remove(at);
            match self.begin(peer, challenge).await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(why) => {
                    let session = self.session(peer);
                    session.tried.push(scheme);
                    session.why.push(why);
                }
            }
        }
        false
    }

    /// The next step of what was begun; false if that came to its end.
    async fn go_on(&mut self, peer: &Peer, challenges: &mut Vec<Challenge>) -> bool {
        let session = self.session(peer);
        let Some(scheme) = session.state.scheme() else { return false };
        let mut why = format!("{scheme} was refused.");
        match &mut session.state {
            State::Nothing => {}
            State::Basic(..) => {}
            State::Digest { client, stale, .. } => {
                let fresh =
                    challenges.iter().position(|c| matches!(c, Challenge::Digest(new) if new.stale()));
                if let Some(at) = fresh
                    && *stale < MAX_STALE
                    && let Challenge::Digest(new) = challenges.swap_remove(at)
                {
                    *client = new;
                    *stale += 1;
                    return true;
                }
            }
            State::Bound { handshake, next, legs, .. } => {
                let token = challenges.iter_mut().find_map(|challenge| match challenge {
                    Challenge::Ntlm(token) if scheme == AuthScheme::Ntlm => token.take(),
                    Challenge::Negotiate(token) if scheme == AuthScheme::Negotiate => token.take(),
                    _ => None,
                });
                if session.accepted && token.is_none() {
                    // Another connection: it begins anew.
                    session.state = State::Nothing;
                    return false;
                }
                if token.is_some() {
                    match handshake.step(token).await {
                        Ok(token) if !token.is_empty() => {
                            *next = bound(scheme, &token);
                            *legs += 1;
                            return true;
                        }
                        Ok(_) => {}
                        Err(reason) => why = format!("{scheme}: {reason}"),
                    }
                }
            }
        }
        let user = session.state.user().to_owned();
        session.state = State::Nothing;
        session.accepted = false;
        session.tried.push(scheme);
        session.why.push(why);
        self.note(peer, scheme, false, user);
        false
    }

    /// Begins a scheme. False: the job has no credentials for it. Err: it cannot be used, and why.
    async fn begin(&mut self, peer: &Peer, challenge: Challenge) -> Result<bool, String> {
        let scheme = challenge.scheme();
        let Some(found) = self.find(peer, scheme) else { return Ok(false) };
        let may_send_basic = self.may_send_basic(peer);
        let session = self.session(peer);
        session.state = match (challenge, found) {
            (Challenge::Basic, Some(_)) if !may_send_basic => {
                return Err(
                    "The user name and password were not sent: Basic goes over https only.".to_owned()
                );
            }
            (Challenge::Basic, Some(pair)) => State::Basic(basic(&pair), pair),
            (Challenge::Digest(client), Some(pair)) => State::Digest { client, pair, stale: 0 },
            (Challenge::Basic | Challenge::Digest(_), None) => return Ok(false),
            (Challenge::Ntlm(_) | Challenge::Negotiate(_), pair) => {
                let user = pair.as_ref().map(|pair| pair.user.reveal().to_owned()).unwrap_or_default();
                let mut handshake = Handshake::new(scheme, &peer.host, pair);
                let token = handshake.step(None).await.map_err(|why| format!("{scheme}: {why}"))?;
                State::Bound {
                    scheme,
                    handshake: Box::new(handshake),
                    next: bound(scheme, &token),
                    user,
                    legs: 0,
                }
            }
        };
        Ok(true)
    }

    /// Credentials for a scheme: a name and password, or (Some(None)) the owner's own.
    fn find(&self, peer: &Peer, scheme: AuthScheme) -> Option<Option<Pair>> {
        if self.anonymous && peer.target == AuthTarget::Server {
            return None;
        }
        let explicit = self.credentials.iter().find(|c| (c.target, c.scheme) == (peer.target, scheme));
        if let Some(credential) = explicit {
            return Some(credential.pair.clone());
        }
        if let Some(pair) = peer.login.as_ref().filter(|_| scheme != AuthScheme::Negotiate) {
            return Some(Some(pair.clone()));
        }
        let implicit = matches!(scheme, AuthScheme::Ntlm | AuthScheme::Negotiate);
        match peer.target {
            AuthTarget::Proxy if self.stored => match netrc::look_up(&peer.host) {
                Some((user, password)) if scheme != AuthScheme::Negotiate => {
                    Some(Some(Pair { user, password }))
                }
                _ => (scheme == AuthScheme::Negotiate).then_some(None),
            },
            // Implicit proxy credentials are offered to the server too, unless it has explicit ones.
            AuthTarget::Server if implicit => {
                let own = self.credentials.iter().any(|c| c.target == AuthTarget::Server && c.pair.is_some());
                let proxys =
                    |c: &Credential| (c.target, c.scheme) == (AuthTarget::Proxy, scheme) && c.pair.is_none();
                (!own && self.credentials.iter().any(proxys)).then_some(None)
            }
            _ => None,
        }
    }

    /// The peer let a request pass.
    pub(crate) fn accepted(&mut self, peer: &Peer) {
        let session = self.session(peer);
        session.rounds = 0;
        let Some(scheme) = session.state.scheme() else { return };
        if !std::mem::replace(&mut session.accepted, true) {
            let user = session.state.user().to_owned();
            self.note(peer, scheme, true, user);
        }
    }

    /// The connection itself is authenticated: it must be HTTP/1.1, the same for the whole handshake, and nobody else's.
    pub(crate) fn is_bound(&self, peer: &Peer) -> bool {
        self.sessions.iter().any(|s| s.peer == *peer && matches!(s.state, State::Bound { .. }))
    }

    /// The connection of a handshake was lost.
    pub(crate) fn connection_lost(&mut self, peer: &Peer) {
        let session = self.session(peer);
        // A first token that was not sent yet serves on any connection.
        let unsent = matches!(session.state, State::Bound { next: Some(_), legs: 0, .. });
        if !unsent && matches!(session.state, State::Bound { .. }) {
            session.state = State::Nothing;
        }
    }

    /// Why the peer does not let us pass, in sentences.
    pub(crate) fn why(&self, peer: &Peer) -> String {
        let who = match peer.target {
            AuthTarget::Server => "server",
            AuthTarget::Proxy => "proxy",
        };
        let Some(session) = self.sessions.iter().find(|session| session.peer == *peer) else {
            return String::new();
        };
        let offered = match session.offered.as_slice() {
            [] => format!("The {who} names no way to authenticate."),
            names => format!("The {who} accepts {}.", names.join(", ")),
        };
        let what = if session.why.is_empty() {
            "The job has no credentials for that.".to_owned()
        } else {
            session.why.join(" ")
        };
        format!("{offered} {what}")
    }

    fn note(&mut self, peer: &Peer, scheme: AuthScheme, accepted: bool, user: String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(Note::Credentials {
                target: peer.target,
                server: format!("{}:{}", peer.host, peer.port),
                scheme,
                user: user.chars().take(300).collect(),
                accepted,
            });
        }
    }

    /// Something happened that an administrator may want to know.
    pub(crate) fn tell(&mut self, note: Note) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }

    /// What happened since it was asked last.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn basic(pair: &Pair) -> HeaderValue {
    let text = Zeroizing::new(format!("{}:{}", pair.user.reveal(), pair.password.reveal()));
    sensitive(&format!("Basic {}", STANDARD.encode(text.as_bytes()))).expect("base64 is legal in a header")
}

fn bound(scheme: AuthScheme, token: &[u8]) -> Option<HeaderValue> {
    let name = if scheme == AuthScheme::Ntlm { "NTLM" } else { "Negotiate" };
    sensitive(&format!("{name} {}", STANDARD.encode(token)))
}

#[cfg(test)]
mod tests;
