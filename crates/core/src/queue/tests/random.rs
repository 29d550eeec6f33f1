//! Random lives of several jobs of several owners, with crashes in between. [`World`] checks every promise after every step.

use super::world::{ALICE, BOB, Plan, ROOT, SIZE, Torn, Workers, World, file};
use crate::caller::Caller;
use crate::enums::{JobType, Priority};
use crate::hresult as h;
use crate::id::{AttemptId, JobId, Ticket};
use crate::job::property::Property;
use crate::limits::Limits;
use crate::queue::{Call, Called};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Create { who: u8, priority: u8, files: u8, resume: bool, kind: u8, auto_complete: bool },
    Call { who: u8, job: u8, call: u8 },
    Worker { attempt: u8, act: u8, file: u8, bytes: u64 },
    Stopped { attempt: u8 },
    FileWork { which: u8, fails: bool },
    Pass { seconds: u64 },
    Network(bool),
    Policy(bool),
    Pause,
    Start,
    Slots { background: u8, foreground: u8 },
    WorkerLost { who: u8 },
    Crash,
    CrashDuring(Torn),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..3u8;
    let create = (who.clone(), 0..4u8, 0..4u8, any::<bool>(), 0..4u8, any::<bool>());
    prop_oneof![
        4 => create.prop_map(|(who, priority, files, resume, kind, auto_complete)| Step::Create {
            who, priority, files, resume, kind, auto_complete,
        }),
        12 => (who.clone(), any::<u8>(), 0..14u8).prop_map(|(who, job, call)| Step::Call { who, job, call }),
        14 => (any::<u8>(), 0..8u8, 0..4u8, 1..=SIZE).prop_map(|(attempt, act, file, bytes)| {
            Step::Worker { attempt, act, file, bytes }
        }),
        6 => any::<u8>().prop_map(|attempt| Step::Stopped { attempt }),
        6 => (any::<u8>(), prop::bool::weighted(0.3)).prop_map(|(which, fails)| Step::FileWork { which, fails }),
        6 => prop_oneof![0..200u64, Just(600), Just(100_000), Just(2_000_000)]
            .prop_map(|seconds| Step::Pass { seconds }),
        2 => any::<bool>().prop_map(Step::Network),
        2 => any::<bool>().prop_map(Step::Policy),
        1 => Just(Step::Pause),
        2 => Just(Step::Start),
        1 => (0..4u8, 0..3u8).prop_map(|(background, foreground)| Step::Slots { background, foreground }),
        1 => who.prop_map(|who| Step::WorkerLost { who }),
        1 => Just(Step::Crash),
        2 => prop_oneof![Just(Torn::BeforeCommit), Just(Torn::AfterCommit)].prop_map(Step::CrashDuring),
    ]
}

struct Life {
    world: World,
    jobs: Vec<JobId>,
}

fn pick<T: Copy>(list: &[T], at: u8) -> Option<T> {
    list.get(usize::from(at) % list.len().max(1)).copied()
}

fn caller(who: u8) -> Caller {
    [ALICE, BOB, ROOT][usize::from(who)]
}

impl Life {
    fn new() -> Self {
        let mut world = World::with(Limits { jobs_per_user: 5, jobs_per_machine: 8, ..Limits::default() });
        world.workers = Workers::Manual;
        Self { world, jobs: Vec::new() }
    }

    fn step(&mut self, step: &Step) {
        let w = &mut self.world;
        match *step {
            Step::Create { who, priority, files, resume, kind, auto_complete } => {
                let priority = Priority::ALL[usize::from(priority)];
                let kind = [JobType::Download, JobType::Download, JobType::Upload, JobType::UploadReply]
                    [usize::from(kind)];
                let plan = Plan { priority, files: files.into(), resume, kind, auto_complete };
                if let Ok(id) = w.try_create(caller(who), &plan) {
                    self.jobs.push(id);
                }
            }
            Step::Call { who, job, call } => self.call(caller(who), job, call),
            Step::Worker { attempt, act, file, bytes } => self.worker(attempt, act, file, bytes),
            Step::Stopped { attempt } => {
                let stopping: Vec<AttemptId> =
                    w.attempts.iter().filter(|(_, a)| a.stopping).map(|(id, _)| *id).collect();
                if let Some(attempt) = pick(&stopping, attempt) {
                    w.stopped_attempt(attempt);
                }
            }
            Step::FileWork { which, fails } => {
                let tickets: Vec<Ticket> = w.work.keys().copied().collect();
                let Some(ticket) = pick(&tickets, which) else { return };
                let renames = w.work[&ticket].plan.rename.len();
                if fails && renames > 0 {
                    w.file_work_failed(ticket, usize::from(which) % renames, h::ERROR_SHARING_VIOLATION);
                } else {
                    w.file_work_done(ticket);
                }
            }
            Step::Pass { seconds } => {
                w.pass(seconds);
                w.tick();
            }
            Step::Network(up) => w.network(up),
            Step::Policy(blocks) => w.policy(blocks),
            Step::Pause => w.pause(),
            Step::Start => w.start(),
            Step::Slots { background, foreground } => {
                let limits = Limits {
                    max_background: background.into(),
                    max_foreground: foreground.into(),
                    ..w.q.limits().clone()
                };
                w.q.set_limits(limits, w.now);
                w.drain();
            }
            Step::WorkerLost { who } => w.worker_lost(caller(who).uid),
            Step::Crash => w.crash(),
            Step::CrashDuring(torn) => w.torn = Some(torn),
        }
    }

    fn call(&mut self, who: Caller, job: u8, call: u8) {
        let Some(id) = pick(&self.jobs, job) else { return };
        let call = match call {
            0 | 1 => Call::Resume,
            2 | 3 => Call::Suspend,
            4 => Call::Cancel,
            5 | 6 => Call::Complete,
            7 => Call::AddFiles(vec![file(job.into())]),
            8 => Call::TakeOwnership,
            9 => Call::Set(vec![Property::NoProgressTimeout(u32::from(job) * 10)]),
            10 => Call::Set(vec![Property::MinimumRetryDelay(u32::from(job) * 10)]),
            11 => Call::Set(vec![Property::AutoComplete(job.is_multiple_of(2))]),
            12 => Call::Set(vec![Property::Description("d".into())]),
            _ => Call::Set(vec![Property::Priority(i64::from(job % 4))]),
        };
        let gone = !self.world.q.jobs.contains_key(&id) && !self.world.q.finished.contains_key(&id);
        let called = self.world.begin(who, id, call);
        if gone {
            assert_eq!(
                called,
                Called::Done(Err(crate::queue::Failure::new(
                    h::BG_E_NOT_FOUND,
                    format!("there is no job {id}"),
                )))
            );
        }
    }

    fn worker(&mut self, attempt: u8, act: u8, file: u8, bytes: u64) {
        let w = &mut self.world;
        let attempts: Vec<JobId> = w.attempts.values().map(|a| a.job).collect();
        let Some(id) = pick(&attempts, attempt) else { return };
        let Some(job) = w.q.get(id) else { return };
        let connected = job.state == crate::enums::JobState::Transferring;
        let count = job.files.len();
        let index = usize::from(file) % count.max(1);
        let unfinished = job.files.iter().position(|f| !f.transferred);
        match act {
            0 | 1 => w.connect(id),
            2 if connected => w.bytes(id, u32::try_from(index).expect("few"), bytes),
            3 | 4 => {
                if let Some(first) = unfinished.filter(|_| connected) {
                    w.checkpoint(id, u32::try_from(first).expect("few"), if act == 3 { bytes } else { SIZE });
                }
            }
            5 if unfinished.is_none() => w.done(id),
            5 if w.torn.is_none() => w.transfer_if_live(id),
            6 => w.fail(id, h::BG_E_HTTP_ERROR_503, Some(bytes)),
            7 => w.fail(id, h::BG_E_HTTP_ERROR_404, None),
            _ => {}
        }
    }

    /// Every worker answers what it owes; then nobody may be left without an answer.
    fn settle(&mut self) {
        let w = &mut self.world;
        w.torn = None;
        w.workers = Workers::Prompt;
        for _ in 0..100 {
            let before = (w.attempts.values().filter(|a| a.stopping).count(), w.work.len());
            if before == (0, 0) {
                break;
            }
            w.answer_promptly();
        }
        assert!(w.waiting.is_empty(), "every ticket is answered: {:?}", w.waiting);
        assert!(w.q.finishes.is_empty() && w.q.deferred.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_life_keeps_every_promise(steps in prop::collection::vec(step(), 1..80)) {
        let mut life = Life::new();
        for step in &steps {
            life.step(step);
        }
        life.settle();
    }
}
