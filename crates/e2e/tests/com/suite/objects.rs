//! The rules of COM: QueryInterface, identity, references, failures of the library, of the service, and of callers.

use super::*;
use crate::session::run;
use openbits_core::hresult as h;
use windows_core::IUnknown;

#[test]
fn a_job_is_one_object_with_many_faces() {
    run(here!(), |s| {
        let manager = manager(s);
        let job = new_job(&manager, "a", 0);
        let unknown: IUnknown = job.cast().unwrap();
        let faces: [IUnknown; 9] = [
            job.cast::<api::IBackgroundCopyJob>().unwrap().into(),
            job.cast::<api::IBackgroundCopyJob2>().unwrap().into(),
            job.cast::<api::IBackgroundCopyJob3>().unwrap().into(),
            job.cast::<api::IBackgroundCopyJob4>().unwrap().into(),
            job.cast::<api::IBackgroundCopyJob5>().unwrap().into(),
            job.cast::<api::IBackgroundCopyJobHttpOptions>().unwrap().into(),
            job.cast::<api::IBackgroundCopyJobHttpOptions2>().unwrap().into(),
            job.cast::<api::IBackgroundCopyJobHttpOptions3>().unwrap().into(),
            job.cast::<api::IBitsTokenOptions>().unwrap().into(),
        ];
        for face in &faces {
            let same: IUnknown = face.cast().unwrap();
            assert_eq!(same.as_raw(), unknown.as_raw(), "one IUnknown for all");
            // Back to any other face.
            let options: api::IBackgroundCopyJobHttpOptions = face.cast().unwrap();
            let back: api::IBackgroundCopyJob5 = options.cast().unwrap();
            assert_eq!(back.as_raw(), faces[4].as_raw());
        }
        let mut place = std::ptr::without_provenance_mut(77);
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(job.query(&api::IBackgroundCopyFile::IID, &mut place)), h::E_NOINTERFACE);
            assert!(place.is_null());
            assert_eq!(code(job.query(&api::IBackgroundCopyManager::IID, &mut place)), h::E_NOINTERFACE);
            assert_eq!(code(job.query(&IUnknown::IID, null_mut())), h::E_POINTER);
            assert_eq!(code(job.query(std::ptr::null(), &mut place)), h::E_POINTER);
        }
        // The manager, and a file.
        let cache: api::IBitsPeerCacheAdministration = manager.cast().unwrap();
        let (a, b): (IUnknown, IUnknown) = (cache.cast().unwrap(), manager.cast().unwrap());
        assert_eq!(a.as_raw(), b.as_raw());
        let job = download(s, &manager, "f", "f");
        let file = first_file(&job);
        for iid in [
            api::IBackgroundCopyFile2::IID,
            api::IBackgroundCopyFile3::IID,
            api::IBackgroundCopyFile4::IID,
            api::IBackgroundCopyFile5::IID,
            api::IBackgroundCopyFile6::IID,
        ] {
            let mut place = null_mut();
            // SAFETY: a call as a program makes it; the reference is given back.
            unsafe {
                assert_eq!(code(file.query(&iid, &mut place)), h::S_OK);
                drop(IUnknown::from_raw(place));
            }
        }
    });
}

#[test]
fn references_are_counted() {
    run(here!(), |s| {
        let manager = manager(s);
        let job = new_job(&manager, "a", 0);
        // SAFETY: each AddRef has its Release.
        unsafe {
            // Each face has a vtable of its own.
            let add = |face: &IUnknown| (Interface::vtable(face).AddRef)(face.as_raw());
            let release = |face: &IUnknown| (Interface::vtable(face).Release)(face.as_raw());
            let last = |face: IUnknown| {
                let face = std::mem::ManuallyDrop::new(face);
                release(&face)
            };
            assert_eq!(add(&job), 2);
            let face: api::IBackgroundCopyJobHttpOptions = job.cast().unwrap();
            assert_eq!(last(face.into()), 2, "one count for all faces");
            assert_eq!(release(&job), 1);
            // The last reference goes; the job stays.
            let id = value(|place| job.GetId(place));
            assert_eq!(last(job.into()), 0);
            let again: api::IBackgroundCopyJob = object(|place| manager.GetJob(&id, place)).unwrap();
            // A file outlives its job's pointer, an enumerator its manager's.
            drop(again);
            let job = download(s, &manager, "f", "f");
            let file = first_file(&job);
            let jobs: api::IEnumBackgroundCopyJobs = object(|place| manager.EnumJobs(0, place)).unwrap();
            drop((job, manager));
            assert!(text(|place| file.GetRemoteName(place)).unwrap().ends_with("/f"));
            assert_eq!(last(jobs.into()), 0);
        }
    });
}

#[test]
fn a_service_that_dies_is_a_clear_failure_and_its_return_is_noticed() {
    run(here!(), |s| {
        // As in a program that has not asked for anything else: the library must not be killed by a closed socket.
        // SAFETY: the default action has no preconditions.
        unsafe {
            nix::sys::signal::signal(nix::sys::signal::Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl)
        }
        .unwrap();
        let manager = manager(s);
        let job = new_job(&manager, "a", 0);
        for _ in 0..3 {
            s.kill_service();
            let begin = std::time::Instant::now();
            // SAFETY: calls as a program makes them.
            unsafe {
                let mut state = 0;
                assert_eq!(code(job.GetState(&mut state)), h::RPC_S_SERVER_UNAVAILABLE);
                assert_eq!(code(job.Suspend()), h::RPC_S_SERVER_UNAVAILABLE);
                let enumerator = object::<api::IEnumBackgroundCopyJobs>(|place| manager.EnumJobs(0, place));
                assert_eq!(enumerator.unwrap_err(), h::RPC_S_SERVER_UNAVAILABLE);
                assert_eq!(
                    create::<api::IBackgroundCopyManager>(s, &api::CLSID_BackgroundCopyManager).unwrap_err(),
                    h::RPC_S_SERVER_UNAVAILABLE
                );
                assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
                let mut service = s.restart_service();
                assert_eq!(code(job.GetState(&mut state)), h::S_OK, "the next call connects anew");
                assert_eq!(state, api::BG_JOB_STATE_SUSPENDED);
                std::thread::spawn(move || service.wait());
            }
        }
    });
}

/// A service that has stopped reading: what is written to it raises SIGPIPE, whose default action ends a program.
#[test]
fn a_socket_that_takes_nothing_does_not_end_the_program() {
    run(here!(), |s| {
        // SAFETY: the default action has no preconditions.
        unsafe {
            nix::sys::signal::signal(nix::sys::signal::Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl)
        }
        .unwrap();
        let manager = manager(s);
        s.kill_service();
        let _ = std::fs::remove_file(&s.door.socket);
        let listener = std::os::unix::net::UnixListener::bind(&s.door.socket).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.shutdown(std::net::Shutdown::Read).unwrap();
                // A request that was faster gets no answer either.
                std::thread::spawn(move || {
                    std::thread::sleep(std::time::Duration::from_millis(300));
                    drop(stream);
                });
            }
        });
        for _ in 0..3 {
            // SAFETY: a call as a program makes it.
            let got = object::<api::IEnumBackgroundCopyJobs>(|place| unsafe { manager.EnumJobs(0, place) });
            assert_eq!(got.unwrap_err(), h::RPC_S_SERVER_UNAVAILABLE);
        }
    });
}

#[test]
fn a_call_in_flight_when_the_service_dies_comes_back() {
    run(here!(), |s| {
        let manager = manager(s);
        let pid = s.door.service().pid;
        // A stopped service takes the call and does not answer.
        let signal =
            |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal).unwrap();
        signal(nix::sys::signal::Signal::SIGSTOP);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(300));
                signal(nix::sys::signal::Signal::SIGKILL);
            });
            let begin = std::time::Instant::now();
            // SAFETY: a call as a program makes it.
            let got = object::<api::IEnumBackgroundCopyJobs>(|place| unsafe { manager.EnumJobs(0, place) });
            assert_eq!(got.unwrap_err(), h::RPC_S_SERVER_UNAVAILABLE);
            let took = begin.elapsed();
            assert!(took >= std::time::Duration::from_millis(250) && took.as_secs() < 5, "{took:?}");
        });
    });
}

#[test]
fn threads_share_objects() {
    struct Shared(api::IBackgroundCopyManager, api::IBackgroundCopyJob);
    // SAFETY: the objects are made for it; that is the test.
    unsafe impl Sync for Shared {}
    run(here!(), |s| {
        let manager = manager(s);
        let job = new_job(&manager, "a", 0);
        let shared = Shared(manager, job);
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let shared = &shared;
                scope.spawn(move || {
                    let shared: &Shared = shared;
                    for turn in 0..20 {
                        let name = w(&format!("{thread}-{turn}"));
                        // SAFETY: calls as a program makes them.
                        unsafe {
                            assert_eq!(code(shared.1.SetDisplayName(name.as_ptr())), h::S_OK);
                            assert!(text(|place| shared.1.GetDisplayName(place)).unwrap().contains('-'));
                            let jobs: api::IEnumBackgroundCopyJobs =
                                object(|place| shared.0.EnumJobs(0, place)).unwrap();
                            assert_eq!(value(|place| jobs.GetCount(place)), 1);
                        }
                    }
                });
            }
        });
    });
}
