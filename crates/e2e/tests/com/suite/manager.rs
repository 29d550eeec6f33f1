//! Activation, IBackgroundCopyManager, peer cache administration, enumerators of jobs.

use super::*;
use crate::session::run;
use openbits_core::hresult as h;

#[test]
fn every_class_makes_a_manager_and_nothing_else_does() {
    run(here!(), |s| {
        let classes = [
            api::CLSID_BackgroundCopyManager,
            api::CLSID_BackgroundCopyManager1_5,
            api::CLSID_BackgroundCopyManager2_0,
            api::CLSID_BackgroundCopyManager2_5,
            api::CLSID_BackgroundCopyManager3_0,
            api::CLSID_BackgroundCopyManager4_0,
            api::CLSID_BackgroundCopyManager5_0,
            api::CLSID_BackgroundCopyManager10_1,
            api::CLSID_BackgroundCopyManager10_2,
            api::CLSID_BackgroundCopyManager10_3,
        ];
        for class in &classes {
            create::<api::IBackgroundCopyManager>(s, class).unwrap();
        }
        let failure = |result: Result<api::IBackgroundCopyManager, HResult>| result.unwrap_err();
        assert_eq!(failure(create(s, &GUID::zeroed())), h::REGDB_E_CLASSNOTREG);
        assert_eq!(failure(create(s, &api::CLSID_BITSExtensionSetupFactory)), h::REGDB_E_CLASSNOTREG);
        assert_eq!(create::<api::IBackgroundCopyFile>(s, &classes[0]).unwrap_err(), h::E_NOINTERFACE);
        let (class, iid) = (&classes[0], &api::IBackgroundCopyManager::IID);
        let (factory, mut place) = (s.factory(), null_mut::<c_void>());
        // SAFETY: NULLs and wrong values, which the function is there to refuse.
        unsafe {
            let outer = (&raw mut place).cast();
            assert_eq!(factory(class, outer, 4, iid, &mut place, WCHAR_BYTES).0.cast_unsigned(), 0x8004_0110);
            assert_eq!(code(factory(class, null_mut(), 4, iid, &mut place, 3)), h::E_INVALIDARG);
            assert_eq!(code(factory(class, null_mut(), 4, iid, null_mut(), WCHAR_BYTES)), h::E_POINTER);
            assert_eq!(
                code(factory(std::ptr::null(), null_mut(), 4, iid, &mut place, WCHAR_BYTES)),
                h::E_POINTER
            );
            assert_eq!(
                code(factory(class, null_mut(), 4, std::ptr::null(), &mut place, WCHAR_BYTES)),
                h::E_POINTER
            );
        }
        assert!(place.is_null());
        assert_eq!(s.version(), env!("CARGO_PKG_VERSION"));
    });
}

#[test]
fn manager_create_job() {
    run(here!(), |s| {
        let manager = manager(s);
        let name = "Größe 𝄞 – job";
        let mut id = GUID::zeroed();
        // SAFETY: calls as a program makes them.
        unsafe {
            let job: api::IBackgroundCopyJob =
                object(|place| manager.CreateJob(w(name).as_ptr(), api::BG_JOB_TYPE_UPLOAD, &mut id, place))
                    .unwrap();
            assert_eq!(value(|place| job.GetId(place)), id);
            assert_eq!(text(|place| job.GetDisplayName(place)).as_deref(), Some(name));
            assert_eq!(value(|place| job.GetType(place)), api::BG_JOB_TYPE_UPLOAD);
            // Another pointer for the same job.
            let again: api::IBackgroundCopyJob = object(|place| manager.GetJob(&id, place)).unwrap();
            assert_eq!(value(|place| again.GetId(place)), id);
            let long = w(&"x".repeat(257));
            let refused = |name: &[Wchar], kind| {
                let mut id = GUID::zeroed();
                object::<api::IBackgroundCopyJob>(|place| {
                    manager.CreateJob(name.as_ptr(), kind, &mut id, place)
                })
                .unwrap_err()
            };
            assert_eq!(refused(&long, 0), h::E_INVALIDARG);
            assert_eq!(refused(&w("x"), 3), h::E_NOTIMPL);
            let mut place = null_mut();
            assert_eq!(
                code(manager.CreateJob(std::ptr::null(), 0, &mut id, &mut place)),
                h::RPC_X_NULL_REF_POINTER
            );
            assert_eq!(
                code(manager.CreateJob(w("x").as_ptr(), 0, null_mut(), &mut place)),
                h::RPC_X_NULL_REF_POINTER
            );
            assert_eq!(
                code(manager.CreateJob(w("x").as_ptr(), 0, &mut id, null_mut())),
                h::RPC_X_NULL_REF_POINTER
            );
        }
        assert_eq!(s.door.jobs("").len(), 1, "refused calls leave nothing behind");
    });
}

#[test]
fn manager_get_job() {
    run(here!(), |s| {
        let manager = manager(s);
        let job = new_job(&manager, "a", 0);
        // SAFETY: calls as a program makes them.
        unsafe {
            let id = value(|place| job.GetId(place));
            let get = |id: &GUID| object::<api::IBackgroundCopyJob>(|place| manager.GetJob(id, place));
            assert_eq!(state(&get(&id).unwrap()), api::BG_JOB_STATE_SUSPENDED);
            assert_eq!(get(&GUID::zeroed()).unwrap_err(), h::BG_E_NOT_FOUND);
            assert_eq!(code(job.Cancel()), h::S_OK);
            assert_eq!(get(&id).unwrap_err(), h::BG_E_NOT_FOUND);
            // The pointer that is held still tells.
            assert_eq!(state(&job), api::BG_JOB_STATE_CANCELLED);
            assert_eq!(code(job.Cancel()), h::BG_E_INVALID_STATE);
            assert_eq!(text(|place| job.GetDisplayName(place)).as_deref(), Some("a"));
        }
    });
}

#[test]
fn manager_enum_jobs_and_enum_background_copy_jobs_next() {
    run(here!(), |s| {
        let manager = manager(s);
        // SAFETY: calls as a program makes them.
        unsafe {
            let enumerate =
                |flags| object::<api::IEnumBackgroundCopyJobs>(|place| manager.EnumJobs(flags, place));
            let none = enumerate(0).unwrap();
            assert_eq!(value(|place| none.GetCount(place)), 0);
            let mut wanted: Vec<GUID> =
                (0..5).map(|_| value(|place| new_job(&manager, "j", 0).GetId(place))).collect();
            let jobs = enumerate(0).unwrap();
            assert_eq!((value(|p| none.GetCount(p)), value(|p| jobs.GetCount(p))), (0, 5), "snapshots");
            assert_eq!(enumerate(2).unwrap_err(), h::E_INVALIDARG);
            let all = enumerate(api::BG_JOB_ENUM_ALL_USERS);
            match openbits_e2e::is_root() {
                true => assert_eq!(value(|place| all.unwrap().GetCount(place)), 5),
                false => assert_eq!(all.unwrap_err(), h::E_ACCESSDENIED),
            }

            let mut places = [null_mut(); 3];
            let mut fetched = 77;
            assert_eq!(code(jobs.Next(2, places.as_mut_ptr(), null_mut())), h::E_INVALIDARG);
            assert_eq!(code(jobs.Next(3, places.as_mut_ptr(), &mut fetched)), h::S_OK);
            assert_eq!(fetched, 3);
            let mut seen: Vec<GUID> = Vec::new();
            let mut note = |pointer| {
                let job = api::IBackgroundCopyJob::from_raw(pointer);
                seen.push(value(|place| job.GetId(place)));
            };
            places.into_iter().for_each(&mut note);
            let other: api::IEnumBackgroundCopyJobs = object(|place| jobs.Clone(place)).unwrap();
            assert_eq!(code(jobs.Next(3, places.as_mut_ptr(), &mut fetched)), h::S_FALSE);
            assert_eq!((fetched, places[2]), (2, null_mut()), "the rest of the array is emptied");
            places[..2].iter().copied().for_each(&mut note);
            let key = |guid: &GUID| guid.to_u128();
            wanted.sort_by_key(key);
            seen.sort_by_key(key);
            assert_eq!(seen, wanted);
            assert_eq!(code(jobs.Next(1, places.as_mut_ptr(), null_mut())), h::S_FALSE);
            assert!(places[0].is_null());

            assert_eq!(code(other.Skip(2)), h::S_OK, "a position of its own");
            assert_eq!(code(other.Skip(1)), h::S_FALSE);
            assert_eq!(code(other.Reset()), h::S_OK);
            assert_eq!(code(other.Skip(5)), h::S_OK);
            assert_eq!(code(other.Reset()), h::S_OK);
            assert_eq!(code(other.Skip(6)), h::S_FALSE);
            assert_eq!(value(|place| other.GetCount(place)), 5);
        }
    });
}

#[test]
fn manager_get_error_description() {
    run(here!(), |s| {
        let manager = manager(s);
        // SAFETY: calls as a program makes them.
        unsafe {
            let describe = |code: HResult, language| {
                let mut place = null_mut();
                match manager.GetErrorDescription(code.signed(), language, &mut place) {
                    HRESULT(0) => Ok(take(place).unwrap()),
                    HRESULT(code) => Err(HResult::from_signed(code)),
                }
            };
            assert_eq!(describe(h::BG_E_EMPTY, 0x0409).unwrap(), h::BG_E_EMPTY.text());
            assert!(describe(HResult::from_bits(0x8123_4567), 9).unwrap().contains("81234567"));
            assert_eq!(describe(h::BG_E_EMPTY, 0), Err(h::E_INVALIDARG));
            assert_eq!(describe(h::BG_E_EMPTY, 0x0407), Err(h::ERROR_RESOURCE_LANG_NOT_FOUND));
        }
    });
}

#[test]
fn peer_cache_administration_answers_as_since_4_0() {
    run(here!(), |s| {
        let cache: api::IBitsPeerCacheAdministration = manager(s).cast().unwrap();
        let change = if openbits_e2e::is_root() { h::S_FALSE } else { h::E_ACCESSDENIED };
        let (mut number, mut place) = (77, null_mut());
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!((code(cache.GetMaximumCacheSize(&mut number)), number), (h::S_FALSE, 0));
            assert_eq!(code(cache.GetMaximumContentAge(&mut number)), h::S_FALSE);
            assert_eq!(code(cache.GetConfigurationFlags(&mut number)), h::S_FALSE);
            assert_eq!((code(cache.EnumRecords(&mut place)), place), (h::S_FALSE, null_mut()));
            assert_eq!(code(cache.EnumPeers(&mut place)), h::S_FALSE);
            assert_eq!(code(cache.GetRecord(&GUID::zeroed(), &mut place)), h::S_FALSE);
            for got in [
                cache.SetMaximumCacheSize(1),
                cache.SetMaximumContentAge(86_400),
                cache.SetConfigurationFlags(1),
                cache.ClearRecords(),
                cache.DeleteRecord(&GUID::zeroed()),
                cache.DeleteUrl(w("http://a/b").as_ptr()),
                cache.ClearPeers(),
                cache.DiscoverPeers(),
            ] {
                assert_eq!(code(got), change);
            }
        }
    });
}
