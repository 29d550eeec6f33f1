//! Bodies: short ones are collected, long ones flow to the writer while syncs run beside them.

use super::attempt::{Current, Surroundings};
use super::report;
use super::speed::Speed;
use crate::failure::Outcome;
use crate::file::MAX_UNSYNCED;
use crate::http::Piece;
use crate::protocol::Order;
use crate::source::Source;
use bytes::Bytes;
use openbits_core::hresult::ERROR_WINHTTP_TIMEOUT;
use openbits_core::pace::Mode;
use openbits_core::plan::{Accept, BodyEnd, FilePlan};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// Beat of everything that time drives in a body: progress, checkpoints, the idle limit.
const TICK: Duration = Duration::from_millis(250);
/// A short body that takes longer than this is treated like a long one, with checkpoints and progress.
const QUICK: Duration = Duration::from_millis(1000);
/// A body with at most so much to come is not left for anything: another connection would cost more.
const WORTH_LEAVING: u64 = 64 << 10;
/// Beats between two progress reports (two a second at most).
const PROGRESS_TICKS: u32 = 2;

/// Beats between two reports of the pacing, unless it changes.
const PACE_TICKS: u32 = 4;

fn idle(order: &Order) -> BodyEnd {
    let seconds = order.options.idle_timeout_ms / 1000;
    BodyEnd::Cut {
        code: ERROR_WINHTTP_TIMEOUT,
        detail: format!("The server sent nothing for {seconds} seconds."),
    }
}

fn slow(order: &Order) -> BodyEnd {
    let (floor, seconds) = (order.options.least_bytes_per_s, order.options.idle_timeout_ms / 1000);
    BodyEnd::Slow {
        detail: format!("The server sent less than {floor} bytes a second for {seconds} seconds."),
    }
}

/// A short body that comes quickly: into memory, and in one write into the file. If it takes its time, the pieces so far come
/// back (Err), for [`stream`].
pub(super) async fn collect(
    current: &mut Current,
    accept: &Accept,
    source: &mut Source,
) -> Outcome<Result<(u64, BodyEnd), Vec<Bytes>>> {
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut got = 0_u64;
    let deadline = tokio::time::Instant::now() + QUICK;
    let end = loop {
        match tokio::time::timeout_at(deadline, source.piece()).await {
            Ok(Piece::Data(data)) => {
                got += data.len() as u64;
                if accept.length.is_some_and(|length| got > length) {
                    break BodyEnd::Surplus;
                }
                pieces.push(data);
            }
            Ok(Piece::End) => break BodyEnd::Clean,
            Ok(Piece::Cut(fail)) => break BodyEnd::Cut { code: fail.code, detail: fail.detail },
            Ok(Piece::Changed) => break BodyEnd::Changed,
            Err(_) => return Ok(Err(pieces)),
        }
    };
    if !matches!(end, BodyEnd::Surplus | BodyEnd::Changed) && got > 0 {
        let mut part = current.new_part()?;
        part.fill(&pieces, got)?;
        current.part = Some(part);
    }
    Ok(Ok((got, end)))
}

/// A long body: pieces go to the writer as they come; what is written is synced and reported on the way. `early`: pieces that
/// came before.
pub(super) async fn stream(
    current: &mut Current,
    around: &Surroundings<'_>,
    accept: &Accept,
    source: &mut Source,
    early: Vec<Bytes>,
) -> Outcome<(u64, BodyEnd)> {
    let Surroundings { order, reporter, steer, .. } = around;
    let options = &order.options;
    let limit = Duration::from_millis(options.idle_timeout_ms);
    let mut speed = Speed::new(options.least_bytes_per_s, limit);
    let (index, modified_s) = (current.index, current.modified_s);
    // Pieces that are fetched again count when they were looked at, and were told before.
    let mending = current.repair.is_some();
    let volatile = options.volatile || mending;
    let Current { part, plan, .. } = current;
    let part = part.as_mut().expect("made by the caller");
    let start = plan
        .layout()
        .to_local(plan.size(), accept.offset + accept.skip)
        .expect("the plan accepts only what has a place in the file");
    part.begin(start, accept.length.map(|length| length - accept.skip))?;
    let leave = |plan: &FilePlan, got: u64| {
        let rest = accept.length.map(|length| length - got);
        let others = || steer.others(index) && !plan.is_urgent() && plan.may_leave();
        rest.is_none_or(|rest| rest > WORTH_LEAVING) && (plan.turns_away(accept.offset + got) || others())
    };
    // What was asked for while the request was under way.
    let mut look = true;
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut got, mut last_piece, mut ticks, mut told) = (0_u64, Instant::now(), 0_u32, 0_u64);
    let mut paced: Option<(Mode, u32)> = None;
    for piece in early {
        got += piece.len() as u64;
        part.push(piece).await?;
    }
    let end = loop {
        if std::mem::take(&mut look) {
            if let Some(wanted) = steer.peek(index) {
                plan.want(wanted);
            }
            if leave(plan, got) {
                break BodyEnd::Left;
            }
        }
        if !volatile && part.wants_sync(options.checkpoint_bytes, options.checkpoint_ms) {
            part.start_sync();
        }
        let full = !volatile && part.unsynced() >= MAX_UNSYNCED;
        let waiting = full || part.syncing();
        source.hold(full || source.is_held());
        tokio::select! {
            biased;
            synced = part.progressed(), if waiting => {
                if synced? {
                    let done = part.durable().clone();
                    reporter.checkpoint(report::checkpoint(index, plan, done, modified_s, false)).await;
                }
            }
            () = steer.changed() => look = true,
            piece = source.piece(), if !full => match piece {
                Piece::Data(mut data) => {
                    last_piece = Instant::now();
                    let (before, count) = (got, data.len());
                    got += count as u64;
                    if accept.length.is_some_and(|length| got > length) {
                        break BodyEnd::Surplus;
                    }
                    if before < accept.skip {
                        let known = usize::try_from(accept.skip - before).unwrap_or(usize::MAX).min(count);
                        data = data.slice(known..);
                    }
                    if !data.is_empty() {
                        around.check_cap(part.received() + data.len() as u64)?;
                        part.push(data).await?;
                    }
                    source.came(count, accept.length.map(|length| length - got));
                }
                Piece::End => break BodyEnd::Clean,
                Piece::Cut(fail) => break BodyEnd::Cut { code: fail.code, detail: fail.detail },
                Piece::Changed => break BodyEnd::Changed,
            },
            _ = tick.tick() => {
                part.flush().await?;
                if accept.length.is_none() {
                    // Nobody said how much will come: the reserve is looked after on the way.
                    part.place.folder.check_space(0, options.min_free_bytes)?;
                }
                ticks += 1;
                let bytes = part.received();
                if ticks % PROGRESS_TICKS == 0 && bytes != told {
                    told = bytes;
                    reporter.progress(index, bytes);
                    if options.tell_ranges && !mending {
                        reporter.written(index, part.written());
                    }
                }
                if let Some(pace) = source.pacing() {
                    let due = paced.is_none_or(|(mode, at)| mode != pace.mode || ticks - at >= PACE_TICKS);
                    if due {
                        paced = Some((pace.mode, ticks));
                        reporter.pace(pace);
                    }
                }
                look = !plan.wanted().first.is_empty();
                // Neither is what our own pacing leaves to others.
                let yields = source.pacing().is_some_and(|pace| pace.mode == Mode::Yield);
                if speed.gives_up(Instant::now(), got, full || source.is_held() || yields) {
                    break slow(order);
                }
                if full || source.is_held() {
                    last_piece = Instant::now(); // we do not listen, so silence proves nothing
                } else if last_piece.elapsed() >= TICK {
                    source.lower_water();
                }
                if last_piece.elapsed() >= limit {
                    break idle(order);
                }
            }
        }
    };
    source.lower_water();
    part.finish_run().await?;
    Ok((got, end))
}
