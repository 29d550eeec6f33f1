//! Lists of digests and Metalinks: fetched with the owner's rights like any file, but into memory.

use super::attempt::{Attempt, Reached};
use crate::failure::{Outcome, with};
use crate::file::{Cut, Hashed};
use crate::http::Piece;
use crate::protocol::{Digest, DigestSource, FileOrder, SourceKind};
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::integrity::metalink;
use openbits_core::integrity::{LIST_BYTES_MAX, Pieces, file_name, sums};
use openbits_core::plan::{BodyEnd, Decision, Ended, Fail, FilePlan, Next, Validator};
use openbits_core::{ErrorContext, HResult, RangeSet};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of lists that one attempt remembers.
const REMEMBERED: usize = 16 << 20;

/// Everything that is expected of a file.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) digests: Vec<Digest>,
    /// Of the remote file.
    pub(super) size: Option<u64>,
    /// Code of a file of another size.
    wrong_size: HResult,
    /// Remote names in the order in which they are tried; the file's own is among them unless it is that of a Metalink.
    pub(super) places: Vec<String>,
    /// Digests of its pieces.
    pub(super) pieces: Option<Arc<Pieces>>,
}

impl Wanted {
    /// The digests that are needed.
    pub(super) fn hashed(&self) -> Hashed {
        Hashed {
            algorithms: self.digests.iter().map(Digest::algorithm).collect(),
            pieces: self.pieces.as_deref().map(Cut::of),
        }
    }

    /// A size that is not the expected one.
    pub(super) fn check_size(&self, size: Option<u64>) -> Outcome<()> {
        match (self.size, size) {
            (Some(wanted), Some(size)) if wanted != size => {
                let detail = format!("The file has {size} bytes instead of the {wanted} that are expected.");
                let mut fail = with(ErrorContext::RemoteFile, self.wrong_size, Class::Fatal, detail);
                fail.discard = true;
                Err(fail)
            }
            _ => Ok(()),
        }
    }
}

/// Lists that this attempt has fetched.
#[derive(Debug, Default)]
pub(super) struct Lists {
    known: HashMap<String, Arc<Vec<u8>>>,
    bytes: usize,
}

impl Attempt {
    /// What is expected of a file, lists included. `fresh`: past all caches, because what was told before proved wrong.
    pub(super) async fn wanted(&mut self, file: &FileOrder, fresh: bool) -> Outcome<Rc<Wanted>> {
        let mut wanted = Wanted {
            digests: file.digests.clone(),
            size: file.expected_size,
            wrong_size: self.order.options.wrong_size,
            places: Vec::new(),
            pieces: None,
        };
        let mut of_metalink = Vec::new();
        let mut stands_for = false;
        for source in &file.sources {
            let list = self.list(&source.location, &file.remote, fresh).await.map_err(|mut fail| {
                fail.detail = format!("The list of digests cannot be had. {}", fail.detail);
                fail
            })?;
            let told = tell(source.clone(), list, file.remote.clone()).await?;
            wanted.digests.extend(told.digests);
            wanted.check_size(told.size)?;
            wanted.size = told.size.or(wanted.size);
            of_metalink.extend(told.places);
            wanted.pieces = wanted.pieces.or(told.pieces.filter(|_| file.wanted.layout.is_whole()));
            stands_for |= source.kind == SourceKind::Metalink && *source.location == *file.remote;
        }
        let own = (!stands_for).then(|| file.remote.clone());
        wanted.places = own.into_iter().chain(file.mirrors.iter().cloned()).chain(of_metalink).collect();
        if wanted.places.is_empty() {
            return Err(bad(BG_E_VALIDATION_FAILED, "The Metalink names no address that can be fetched."));
        }
        if let Some(pieces) = self.pieces_of(file, fresh).await? {
            wanted.check_size(Some(pieces.size()))?;
            wanted.size = Some(pieces.size());
            wanted.pieces = Some(pieces);
        }
        Ok(Rc::new(wanted))
    }

    /// What is expected by lists that are fetched past all caches. Pieces that were known stay known: a list that vanished proves nothing.
    pub(super) async fn wanted_anew(&mut self, file: &FileOrder, before: &Wanted) -> Outcome<Rc<Wanted>> {
        let mut wanted = self.wanted(file, true).await?;
        if let (None, Some(pieces)) = (&wanted.pieces, &before.pieces) {
            Rc::make_mut(&mut wanted).pieces = Some(pieces.clone());
        }
        Ok(wanted)
    }

    pub(super) async fn list(&mut self, location: &str, remote: &str, fresh: bool) -> Outcome<Arc<Vec<u8>>> {
        if let Some(list) = self.lists.known.get(location).filter(|_| !fresh) {
            return Ok(list.clone());
        }
        let list = self.fetch_list(location, remote, fresh).await.map_err(|mut fail| {
            fail.discard = false; // it is not about the file's own data
            fail
        })?;
        let list = Arc::new(list);
        self.lists.bytes += list.len();
        if self.lists.bytes > REMEMBERED {
            self.lists.known.clear();
            self.lists.bytes = list.len();
        }
        self.lists.known.insert(location.to_owned(), list.clone());
        Ok(list)
    }

    /// A small file, into memory.
    async fn fetch_list(&mut self, location: &str, remote: &str, fresh: bool) -> Outcome<Vec<u8>> {
        let idle = Duration::from_millis(self.order.options.idle_timeout_ms);
        let (plan, _) = FilePlan::new(location, None, RangeSet::new(), Validator::default(), self.limits())?;
        let mut plan = plan.for_mirror(remote);
        if fresh {
            plan = plan.past_caches();
        }
        let mut list: Vec<u8> = Vec::new();
        loop {
            let request = match plan.step() {
                Next::Complete { .. } | Next::Satisfied => return Ok(list),
                Next::Send(request) => request,
            };
            let Reached { route, mut source, .. } = self.reach(&request, plan.original()).await?;
            match super::attempt::decide(&mut plan, &source) {
                Decision::Accept(accept) => {
                    if accept.restart.is_some() {
                        list.clear();
                    }
                    if accept.total.is_some_and(|total| total > LIST_BYTES_MAX as u64) {
                        return Err(too_large());
                    }
                    let from = list.len() as u64;
                    let (mut got, mut at) = (0_u64, accept.offset);
                    let end = loop {
                        let piece = match tokio::time::timeout(idle, source.piece()).await {
                            Ok(piece) => piece,
                            Err(_) => {
                                break cut(ERROR_WINHTTP_TIMEOUT, "The server sent nothing for too long.");
                            }
                        };
                        match piece {
                            Piece::Data(data) => {
                                got += data.len() as u64;
                                if accept.length.is_some_and(|length| got > length) {
                                    break BodyEnd::Surplus;
                                }
                                let known = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
                                at += data.len() as u64;
                                list.extend_from_slice(data.get(known.min(data.len())..).unwrap_or_default());
                                if list.len() > LIST_BYTES_MAX {
                                    return Err(too_large());
                                }
                            }
                            Piece::End => break BodyEnd::Clean,
                            Piece::Cut(fail) => break cut(fail.code, &fail.detail),
                            Piece::Changed => break BodyEnd::Changed,
                        }
                    };
                    match plan.end(got, end) {
                        Ended::Next => self.put_back(route, source).await,
                        Ended::Soon(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                        Ended::Again(_, ms) => {
                            list.clear();
                            tokio::time::sleep(Duration::from_millis(ms)).await;
                        }
                        Ended::Fail(fail) => return Err(fail),
                    }
                }
                Decision::Empty(_) => return Ok(Vec::new()),
                Decision::Again(restart) => {
                    if restart.is_some() {
                        list.clear();
                    }
                    self.put_back(route, source).await;
                }
                Decision::Fail(fail) => return Err(fail),
            }
        }
    }
}

fn cut(code: HResult, detail: &str) -> BodyEnd {
    BodyEnd::Cut { code, detail: detail.to_owned() }
}

fn bad(code: HResult, detail: impl Into<String>) -> Box<Fail> {
    with(ErrorContext::RemoteFile, code, Class::Fatal, detail)
}

fn too_large() -> Box<Fail> {
    bad(BG_E_TOO_LARGE, "It is larger than 8 MiB.")
}

/// What a list says of a file.
#[derive(Debug, Default)]
struct Told {
    digests: Vec<Digest>,
    size: Option<u64>,
    places: Vec<String>,
    pieces: Option<Arc<Pieces>>,
}

/// What a list says of the file; outside of the event loop, for lists may be long.
async fn tell(source: DigestSource, list: Arc<Vec<u8>>, remote: String) -> Outcome<Told> {
    let work = move || match source.kind {
        SourceKind::Checksums => {
            let name = source.name.map_or_else(|| file_name(&remote), Into::into);
            sums::find(&list, &file_name(&source.location), &name)
                .map(|digests| Told { digests, ..Told::default() })
                .map_err(|error| bad(BG_E_VALIDATION_FAILED, format!("Of {name:?}: {error}.")))
        }
        SourceKind::Metalink => {
            let own = file_name(&remote);
            let stands_for = *source.location == *remote;
            let by_url = (!stands_for).then_some(own.as_str());
            let found = match source.name.as_deref() {
                Some(name) => metalink::find(&list, Some(name)),
                // The only file in it is the one that is meant, whatever its name.
                None => metalink::find(&list, None).or_else(|error| match by_url {
                    Some(name) if error == metalink::MetalinkError::NotListed => {
                        metalink::find(&list, Some(name))
                    }
                    _ => Err(error),
                }),
            };
            found
                .map(|file| Told {
                    digests: file.digests,
                    size: file.size,
                    places: file.urls,
                    pieces: file.pieces.map(Arc::new),
                })
                .map_err(|error| bad(BG_E_VALIDATION_FAILED, format!("Refused: {error}.")))
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(with(ErrorContext::RemoteFile, E_UNEXPECTED, Class::Transient, "Interrupted."))
    })
}
