//! AddFileSet, enumerators of files, IBackgroundCopyFile to 6.

use super::*;
use crate::session::run;
use openbits_core::hresult as h;

#[test]
fn job_add_file_set_and_enum_background_copy_files_next() {
    run(here!(), |s| {
        let manager = manager(s);
        let job = new_job(&manager, "a", api::BG_JOB_TYPE_DOWNLOAD);
        let mut names: Vec<(Vec<Wchar>, Vec<Wchar>)> =
            (0..4).map(|i| (w(&s.origin().url("f")), w(&s.path(&format!("ü{i}"))))).collect();
        let mut set: Vec<api::BG_FILE_INFO> = names
            .iter_mut()
            .map(|(url, path)| api::BG_FILE_INFO {
                RemoteName: url.as_mut_ptr(),
                LocalName: path.as_mut_ptr(),
            })
            .collect();
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(job.AddFileSet(4, set.as_ptr())), h::S_OK);
            assert_eq!(code(job.AddFileSet(0, set.as_ptr())), h::S_OK);
            assert_eq!(code(job.AddFileSet(1, std::ptr::null())), h::RPC_X_NULL_REF_POINTER);
            set[3].LocalName = null_mut();
            assert_eq!(code(job.AddFileSet(4, set.as_ptr())), h::E_INVALIDARG, "all or none");
            assert_eq!(code(job.AddFile(w("ftp://x/y").as_ptr(), w(&s.path("z")).as_ptr())), h::E_INVALIDARG);
            assert_eq!(code(job.AddFile(w(&s.origin().url("f")).as_ptr(), w("z").as_ptr())), h::E_INVALIDARG);
            assert_eq!(
                code(job.AddFile(w(&s.origin().url("f")).as_ptr(), w("/nowhere/z").as_ptr())),
                h::ERROR_PATH_NOT_FOUND
            );
            assert_eq!(code(job.AddFile(std::ptr::null(), w("/z").as_ptr())), h::RPC_X_NULL_REF_POINTER);

            let files: api::IEnumBackgroundCopyFiles = object(|p| job.EnumFiles(p)).unwrap();
            assert_eq!(value(|p| files.GetCount(p)), 4);
            let mut places = [null_mut(); 8];
            let mut fetched = 0;
            assert_eq!(code(files.Next(2, places.as_mut_ptr(), null_mut())), h::E_INVALIDARG);
            assert_eq!(code(files.Next(8, places.as_mut_ptr(), &mut fetched)), h::S_FALSE);
            assert_eq!((fetched, places[4]), (4, null_mut()));
            for (i, place) in places[..4].iter().enumerate() {
                let file = api::IBackgroundCopyFile::from_raw(*place);
                assert_eq!(
                    text(|p| file.GetLocalName(p)),
                    Some(s.path(&format!("ü{i}"))),
                    "in the order added"
                );
                assert_eq!(text(|p| file.GetRemoteName(p)), Some(s.origin().url("f")));
            }
            assert_eq!(code(files.Reset()), h::S_OK);
            assert_eq!(code(files.Skip(3)), h::S_OK);
            let other: api::IEnumBackgroundCopyFiles = object(|p| files.Clone(p)).unwrap();
            assert_eq!(code(files.Skip(2)), h::S_FALSE);
            assert_eq!(code(other.Next(0, places.as_mut_ptr(), &mut fetched)), h::S_OK);
            let last: api::IBackgroundCopyFile = object(|p| other.Next(1, p, null_mut())).unwrap();
            assert_eq!(text(|p| last.GetLocalName(p)), Some(s.path("ü3")));

            let upload = new_job(&manager, "u", api::BG_JOB_TYPE_UPLOAD);
            for i in 0..2 {
                std::fs::write(s.path(&format!("ü{i}")), "x").unwrap();
            }
            assert_eq!(code(upload.AddFileSet(2, set.as_ptr())), h::BG_E_TOO_MANY_FILES);
        }
    });
}

#[test]
fn file3_get_temporary_name_and_the_life_of_a_file() {
    run(here!(), |s| {
        let manager = manager(s);
        let job = download(s, &manager, "f", "f");
        let file: api::IBackgroundCopyFile6 = first_file(&job).cast().unwrap();
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(text(|p| file.GetTemporaryName(p)), None);
            let (mut count, mut ranges) = (77, std::ptr::without_provenance_mut(77));
            assert_eq!(code(file.GetFileRanges(&mut count, &mut ranges)), h::S_FALSE);
            assert_eq!((count, ranges), (0, null_mut()));
            assert_eq!(code(file.SetValidationState(1)), h::E_PENDING);
            let property = |id| {
                let mut value =
                    api::BITS_FILE_PROPERTY_VALUE { String: std::ptr::without_provenance_mut(77) };
                let code = code(file.GetProperty(id, &mut value));
                (code, if code.is_ok() { take(value.String) } else { None })
            };
            assert_eq!(property(api::BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS), (h::S_OK, None));
            assert_eq!(property(2), (h::BG_E_UNKNOWN_PROPERTY_ID, None));
            assert_eq!(code(job.Resume()), h::S_OK);
            wait_state(&job, api::BG_JOB_STATE_TRANSFERRED);
            let temporary = text(|p| file.GetTemporaryName(p)).unwrap();
            assert_eq!(std::fs::metadata(&temporary).unwrap().len(), 50_000, "{temporary}");
            let (code_of, headers) = property(api::BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS);
            assert_eq!(code_of, h::S_OK);
            assert!(headers.unwrap().starts_with("HTTP/1.1 20"));
            let value_of = api::BITS_FILE_PROPERTY_VALUE { String: null_mut() };
            assert_eq!(code(file.SetProperty(1, value_of)), h::BG_E_READ_ONLY_PROPERTY);
            assert_eq!(code(file.SetProperty(9, value_of)), h::BG_E_UNKNOWN_PROPERTY_ID);
            assert_eq!(code(file.GetFilledFileRanges(&mut count, &mut ranges)), h::S_OK);
            assert_eq!((count, (*ranges).InitialOffset, (*ranges).Length), (1, 0, 50_000));
            free(ranges.cast());
            let (mut origin, mut peers) = (0, 77);
            assert_eq!(code(file.GetPeerDownloadStats(&mut origin, &mut peers)), h::S_OK);
            assert_eq!((origin, peers), (50_000, 0));
            assert_eq!(value(|p| file.IsDownloadedFromPeer(p)), 0);
            assert_eq!(value(|p| file.GetValidationState(p)), 0);
            assert_eq!(code(file.SetValidationState(1)), h::S_OK);
            assert_eq!(value(|p| file.GetValidationState(p)), 1);
            assert_eq!(code(job.Complete()), h::S_OK);
            assert_eq!(text(|p| file.GetTemporaryName(p)), None);
            assert_eq!(code(file.SetRemoteName(w("http://x/y").as_ptr())), h::BG_E_INVALID_STATE);
            let upload = new_job(&manager, "u", api::BG_JOB_TYPE_UPLOAD);
            std::fs::write(s.path("source"), "x").unwrap();
            assert_eq!(
                code(upload.AddFile(w(&s.origin().url("u")).as_ptr(), w(&s.path("source")).as_ptr())),
                h::S_OK
            );
            let file: api::IBackgroundCopyFile3 = first_file(&upload).cast().unwrap();
            let mut place = null_mut();
            assert_eq!(code(file.GetTemporaryName(&mut place)), h::E_NOTIMPL);
            assert_eq!(code(file.SetRemoteName(w("http://x/y").as_ptr())), h::E_NOTIMPL);
        }
    });
}

#[test]
fn file6_request_file_ranges() {
    run(here!(), |s| {
        let job = download(s, &manager(s), "g", "g");
        let five: api::IBackgroundCopyJob5 = job.cast().unwrap();
        let file: api::IBackgroundCopyFile6 = first_file(&job).cast().unwrap();
        let range = |offset, length| api::BG_FILE_RANGE { InitialOffset: offset, Length: length };
        // SAFETY: calls as a program makes them.
        unsafe {
            let yes = api::BITS_JOB_PROPERTY_VALUE { Enable: 1 };
            assert_eq!(code(five.SetProperty(api::BITS_JOB_PROPERTY_ON_DEMAND_MODE, yes)), h::S_OK);
            let wanted = [range(1_000, 500), range(2_000_000, 1_000)];
            assert_eq!(code(file.RequestFileRanges(2, wanted.as_ptr())), h::S_OK);
            assert_eq!(code(file.RequestFileRanges(0, wanted.as_ptr())), h::E_INVALIDARG);
            assert_eq!(code(job.Resume()), h::S_OK);
            let filled = || {
                let (mut count, mut ranges) = (0, null_mut());
                assert_eq!(code(file.GetFilledFileRanges(&mut count, &mut ranges)), h::S_OK);
                if count == 0 {
                    return Vec::new();
                }
                let list: Vec<_> = std::slice::from_raw_parts(ranges, count as usize)
                    .iter()
                    .map(|r| (r.InitialOffset, r.Length))
                    .collect();
                free(ranges.cast());
                list
            };
            let there = || filled() == [(1_000, 500), (2_000_000, 1_000)];
            assert!(
                openbits_testkit::wait_until(std::time::Duration::from_secs(30), there),
                "{:?}",
                filled()
            );
            wait_state(&job, api::BG_JOB_STATE_SUSPENDED);
            assert_eq!(code(file.UpdateDownloadPosition(5_000_000)), h::BG_E_INVALID_RANGE);
            assert_eq!(code(file.UpdateDownloadPosition(2_999_000)), h::S_OK);
            assert_eq!(code(job.Resume()), h::S_OK);
            let end = || filled().contains(&(2_999_000, 1_000));
            assert!(openbits_testkit::wait_until(std::time::Duration::from_secs(30), end), "{:?}", filled());
        }
    });
}
