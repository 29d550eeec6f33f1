//! Which bytes of the remote file are wanted, and in which order.

use super::FilePlan;
use crate::layout::{FileRange, LENGTH_TO_EOF, Layout};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A body that reaches the next wanted byte within so many bytes is read on: another request would cost more.
const NEAR: u64 = 256 << 10;

/// What is wanted of a file, and in which order (spec/bits-extended.md 4.2.1, 7.11, 7.12). The default is all of it from the front.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// How the local file is made of the remote one. Ranges of it are fetched in their order.
    #[serde(default, skip_serializing_if = "Layout::is_whole")]
    pub layout: Layout,
    /// Fetched before everything else, in this order. Only for a file that is the whole remote one, as everything below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<FileRange>,
    /// Then from here to the end, then from the lowest missing byte.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub position: u64,
    /// ON_DEMAND_MODE: nothing but `first`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_first: bool,
    /// The client reads the file while it grows: another version is an error, not a new beginning (0x80200073).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// DYNAMIC_CONTENT: nothing is asked of the server but the bytes: no ranges, no length. An interruption begins again at zero.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dynamic: bool,
    /// A server that does not serve ranges is refused, as the original does (spec/behaviour.md 11.1; `compat.strict`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Wanted {
    /// Everything asked for is in a file of this size.
    pub(super) fn fits(&self, size: u64) -> bool {
        let position = self.position == 0 || self.position < size;
        position && self.layout.fits(size) && self.first.iter().all(|range| range.fits(size))
    }

    /// Parts of the file are wanted, so that only a server with byte ranges will do.
    pub(super) fn needs_parts(&self) -> bool {
        !self.layout.is_whole() || self.only_first
    }
}

impl FilePlan {
    /// Sets what is wanted: before the first [`FilePlan::step`], or at any time later, with the same layout. `first` is trimmed to what
    /// is missing. A plan for pieces ([`FilePlan::for_pieces`]) does not hear it.
    pub fn want(&mut self, wanted: Wanted) {
        if self.proven {
            return; // the file was whole already
        }
        self.wanted = wanted;
        let (size, done) = (self.size, &self.done);
        self.wanted.first.retain(|range| !done.contains(range.within(size)));
    }

    /// Size of the local file, if known.
    pub fn local_size(&self) -> Option<u64> {
        self.wanted.layout.local_size(self.size)
    }

    /// How the local file is made of the remote one.
    pub fn layout(&self) -> &Layout {
        &self.wanted.layout
    }

    /// What is wanted, and in which order.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Something that goes before everything else is missing.
    pub fn is_urgent(&self) -> bool {
        self.wanted.first.iter().any(|range| self.done.first_gap(range.within(self.size)).is_some())
    }

    /// The size is known, and something wanted lies outside.
    pub(super) fn reaches_outside(&self) -> bool {
        self.size.is_some_and(|size| !self.wanted.fits(size))
    }

    /// True if every byte of the local file is there.
    pub(super) fn is_whole(&self) -> bool {
        let Some(size) = self.size else { return false };
        let there = |(_, bytes): (u64, Range<u64>)| self.done.contains(bytes);
        self.wanted.layout.parts(Some(size)).all(there) && (size > 0 || self.confirmed)
    }

    /// The next missing bytes. Without an end: to the end of the file, wherever it is; only where everything to the end is wanted, so
    /// that a file of another size than was thought gives no byte that nobody asked for. `None`: nothing that is wanted is missing.
    pub(super) fn missing(&self) -> Option<(u64, Option<u64>)> {
        let gap = |range: FileRange| {
            let bytes = range.within(self.size);
            let gap = self.done.first_gap(bytes.clone())?;
            Some((gap.start, (!range.is_to_end() || gap.end != bytes.end).then_some(gap.end)))
        };
        let urgent = self.wanted.first.iter().find_map(|range| gap(*range));
        if urgent.is_some() || self.wanted.only_first {
            return urgent;
        }
        let layout = &self.wanted.layout;
        if !layout.is_whole() {
            let placed = layout.parts(self.size).count();
            return layout.ranges()[..placed].iter().find_map(|range| gap(*range));
        }
        // An unbound file of size 0 is asked for, too.
        let nothing_known = self.size == Some(0) && !self.confirmed;
        let from = |offset| gap(FileRange::new(offset, LENGTH_TO_EOF));
        from(self.wanted.position).or_else(|| from(0)).or(nothing_known.then_some((0, None)))
    }

    /// The body that is being read may be left: the rest of it can be fetched by another request.
    pub fn may_leave(&self) -> bool {
        self.body.is_some() && self.turns && self.validator.usable(self.size)
    }

    /// The body that is being read has come to remote byte `at`: is something else wanted before its next bytes?
    /// Never if [`FilePlan::may_leave`] says no.
    pub fn turns_away(&self, at: u64) -> bool {
        let Some(body) = &self.body else { return false };
        if !self.may_leave() || at < body.offset + body.skip {
            return false;
        }
        let mut later = self.clone();
        later.done.insert(body.offset + body.skip..at);
        later.missing().is_some_and(|(start, _)| start < at || start - at > NEAR)
    }
}
