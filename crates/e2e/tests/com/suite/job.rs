//! IBackgroundCopyJob to 5, HTTP options, token options.

use super::*;
use crate::session::run;
use openbits_core::hresult as h;

/// Every getter refuses NULL as its page says.
macro_rules! refuses_null {
    ($object:expr, $code:expr, $($method:ident),*) => {
        $(assert_eq!(code($object.$method(null_mut())), $code, stringify!($method));)*
    };
}

#[test]
fn job_get_state_and_other_getters_of_a_fresh_job() {
    run(here!(), |s| {
        let job = new_job(&manager(s), "fresh", api::BG_JOB_TYPE_DOWNLOAD);
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(value(|p| job.GetState(p)), api::BG_JOB_STATE_SUSPENDED);
            assert_eq!(value(|p| job.GetType(p)), api::BG_JOB_TYPE_DOWNLOAD);
            assert_eq!(value(|p| job.GetPriority(p)), api::BG_JOB_PRIORITY_NORMAL);
            assert_eq!(value(|p| job.GetNotifyFlags(p)), 3);
            assert_eq!(value(|p| job.GetMinimumRetryDelay(p)), 600);
            assert_eq!(value(|p| job.GetNoProgressTimeout(p)), 1_209_600);
            assert_eq!(value(|p| job.GetErrorCount(p)), 0);
            assert_eq!(text(|p| job.GetDescription(p)).as_deref(), Some(""));
            let progress: api::BG_JOB_PROGRESS = value(|p| job.GetProgress(p));
            assert_eq!(
                (
                    progress.BytesTotal,
                    progress.BytesTransferred,
                    progress.FilesTotal,
                    progress.FilesTransferred
                ),
                (0, 0, 0, 0)
            );
            let times: api::BG_JOB_TIMES = value(|p| job.GetTimes(p));
            assert_eq!(times.CreationTime, times.ModificationTime);
            let ticks = |t: api::FILETIME| u64::from(t.dwHighDateTime) << 32 | u64::from(t.dwLowDateTime);
            let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64 * 10_000
                + 116_444_736_000_000_000;
            assert!(now.abs_diff(ticks(times.CreationTime)) < 600_000_000, "within a minute");
            assert_eq!(ticks(times.TransferCompletionTime), 0);
            let owner = text(|p| job.GetOwner(p)).unwrap();
            let uid = nix::unistd::geteuid().as_raw();
            let wanted = if uid == 0 { "S-1-5-18".to_owned() } else { format!("S-1-22-1-{uid}") };
            assert_eq!(owner, wanted);
            let mut interface = std::ptr::without_provenance_mut(77);
            assert_eq!((code(job.GetNotifyInterface(&mut interface)), interface), (h::S_OK, null_mut()));
            let (mut usage, mut list, mut bypass) = (77, null_mut(), null_mut());
            assert_eq!(code(job.GetProxySettings(&mut usage, &mut list, &mut bypass)), h::S_OK);
            assert_eq!(
                (usage, list.is_null(), bypass.is_null()),
                (api::BG_JOB_PROXY_USAGE_PRECONFIG, true, true)
            );
            let error = object::<api::IBackgroundCopyError>(|p| job.GetError(p));
            assert_eq!(error.unwrap_err(), h::BG_E_ERROR_INFORMATION_UNAVAILABLE);
            assert_eq!(code(job.Resume()), h::BG_E_EMPTY);
            refuses_null!(
                job,
                h::E_INVALIDARG,
                GetState,
                GetType,
                GetProgress,
                GetTimes,
                GetOwner,
                GetDisplayName
            );
            refuses_null!(
                job,
                h::E_INVALIDARG,
                GetDescription,
                GetPriority,
                GetNotifyFlags,
                GetNotifyInterface
            );
            refuses_null!(job, h::E_INVALIDARG, GetNoProgressTimeout, GetId, GetErrorCount, GetError);
            assert_eq!(code(job.GetProxySettings(&mut usage, null_mut(), &mut bypass)), h::E_INVALIDARG);
            assert_eq!(code(job.EnumFiles(null_mut())), h::RPC_X_NULL_REF_POINTER);
        }
    });
}

#[test]
fn job_set_display_name_and_other_setters() {
    run(here!(), |s| {
        let job = new_job(&manager(s), "a", api::BG_JOB_TYPE_DOWNLOAD);
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(job.SetDisplayName(w("später 😀").as_ptr())), h::S_OK);
            assert_eq!(text(|p| job.GetDisplayName(p)).as_deref(), Some("später 😀"));
            assert_eq!(code(job.SetDisplayName(w(&"x".repeat(257)).as_ptr())), h::BG_E_STRING_TOO_LONG);
            assert_eq!(code(job.SetDisplayName(std::ptr::null())), h::E_INVALIDARG);
            // 128 characters of two UTF-16 units each.
            assert_eq!(code(job.SetDisplayName(w(&"😀".repeat(128)).as_ptr())), h::S_OK);
            assert_eq!(code(job.SetDisplayName(w(&"😀".repeat(129)).as_ptr())), h::BG_E_STRING_TOO_LONG);
            assert_eq!(code(job.SetDescription(w(&"y".repeat(1024)).as_ptr())), h::S_OK);
            assert_eq!(code(job.SetDescription(w(&"y".repeat(1025)).as_ptr())), h::BG_E_STRING_TOO_LONG);
            assert_eq!(code(job.SetDescription(std::ptr::null())), h::E_INVALIDARG);
            assert_eq!(text(|p| job.GetDescription(p)).unwrap().len(), 1024);
            assert_eq!(code(job.SetPriority(api::BG_JOB_PRIORITY_LOW)), h::S_OK);
            assert_eq!(code(job.SetPriority(4)), h::E_NOTIMPL);
            assert_eq!(value(|p| job.GetPriority(p)), api::BG_JOB_PRIORITY_LOW);
            assert_eq!(code(job.SetNotifyFlags(0x1F)), h::S_OK);
            assert_eq!(code(job.SetNotifyFlags(0x40)), h::E_NOTIMPL);
            assert_eq!(value(|p| job.GetNotifyFlags(p)), 0x1F);
            assert_eq!(code(job.SetMinimumRetryDelay(1)), h::S_OK);
            assert_eq!(value(|p| job.GetMinimumRetryDelay(p)), 5);
            assert_eq!(code(job.SetNoProgressTimeout(u32::MAX)), h::S_OK);
            assert_eq!(value(|p| job.GetNoProgressTimeout(p)), u32::MAX);
            let proxy = |usage, list: Option<&str>, bypass: Option<&str>| {
                let (list, bypass) = (list.map(w), bypass.map(w));
                let pointer = |text: &Option<Vec<Wchar>>| text.as_ref().map_or(std::ptr::null(), Vec::as_ptr);
                code(job.SetProxySettings(usage, pointer(&list), pointer(&bypass)))
            };
            assert_eq!(
                proxy(api::BG_JOB_PROXY_USAGE_OVERRIDE, Some("http://p:3128"), Some("*.example")),
                h::S_OK
            );
            let (mut usage, mut list, mut bypass) = (77, null_mut(), null_mut());
            assert_eq!(code(job.GetProxySettings(&mut usage, &mut list, &mut bypass)), h::S_OK);
            assert_eq!(usage, api::BG_JOB_PROXY_USAGE_OVERRIDE);
            assert_eq!(
                (take(list).as_deref(), take(bypass).as_deref()),
                (Some("http://p:3128"), Some("*.example"))
            );
            assert_eq!(proxy(api::BG_JOB_PROXY_USAGE_OVERRIDE, None, None), h::E_INVALIDARG);
            assert_eq!(proxy(9, None, None), h::E_NOTIMPL);
            assert_eq!(code(job.Cancel()), h::S_OK);
            assert_eq!(code(job.SetPriority(api::BG_JOB_PRIORITY_HIGH)), h::BG_E_INVALID_STATE);
            assert_eq!(code(job.SetNotifyInterface(null_mut())), h::BG_E_INVALID_STATE);
        }
    });
}

#[test]
fn job_complete_after_a_whole_download() {
    run(here!(), |s| {
        let manager = manager(s);
        let job = download(s, &manager, "g", "g 😀");
        // SAFETY: calls as a program makes them.
        unsafe {
            let file = first_file(&job);
            let progress: api::BG_FILE_PROGRESS = value(|p| file.GetProgress(p));
            assert_eq!((progress.BytesTotal, progress.Completed), (api::BG_SIZE_UNKNOWN, 0));
            let whole: api::BG_JOB_PROGRESS = value(|p| job.GetProgress(p));
            assert_eq!(whole.BytesTotal, api::BG_SIZE_UNKNOWN);
            assert_eq!(code(job.Resume()), h::S_OK);
            wait_state(&job, api::BG_JOB_STATE_TRANSFERRED);
            let progress: api::BG_FILE_PROGRESS = value(|p| file.GetProgress(p));
            assert_eq!(
                (progress.BytesTotal, progress.BytesTransferred, progress.Completed),
                (3_000_000, 3_000_000, 0)
            );
            assert_eq!(code(job.Complete()), h::S_OK);
            assert_eq!(std::fs::metadata(s.path("g 😀")).unwrap().len(), 3_000_000);
            // Pointers that are held still tell, also when the service has forgotten the job.
            s.kill_service();
            assert_eq!(state(&job), api::BG_JOB_STATE_ACKNOWLEDGED);
            let progress: api::BG_FILE_PROGRESS = value(|p| file.GetProgress(p));
            assert_eq!((progress.BytesTransferred, progress.Completed), (3_000_000, 1));
            assert_eq!(text(|p| file.GetLocalName(p)), Some(s.path("g 😀")));
            let times: api::BG_JOB_TIMES = value(|p| job.GetTimes(p));
            assert_ne!(times.TransferCompletionTime, api::FILETIME::default());
            let files: api::IEnumBackgroundCopyFiles = object(|p| job.EnumFiles(p)).unwrap();
            assert_eq!(value(|p| files.GetCount(p)), 1);
            assert_eq!(code(job.Complete()), h::RPC_S_SERVER_UNAVAILABLE);
            let mut service = s.restart_service();
            assert_eq!(code(job.Complete()), h::BG_E_INVALID_STATE);
            service.kill().unwrap();
            service.wait().unwrap();
        }
    });
}

#[test]
fn job_suspend_resume_and_cancel() {
    run(here!(), |s| {
        let job = download(s, &manager(s), "f", "f");
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(job.Suspend()), h::S_OK);
            assert_eq!(code(job.Resume()), h::S_OK);
            assert_ne!(state(&job), api::BG_JOB_STATE_SUSPENDED);
            wait_state(&job, api::BG_JOB_STATE_TRANSFERRED);
            assert_eq!(code(job.Resume()), h::S_OK);
            assert_eq!(code(job.Cancel()), h::S_OK);
            assert_eq!(state(&job), api::BG_JOB_STATE_CANCELLED);
            assert!(!std::path::Path::new(&s.path("f")).exists());
            let partial = new_job(&manager(s), "nothing", api::BG_JOB_TYPE_DOWNLOAD);
            assert_eq!(code(partial.Complete()), h::S_OK);
            let ownership = new_job(&manager(s), "mine", api::BG_JOB_TYPE_DOWNLOAD);
            let wanted = if openbits_e2e::is_root() { h::S_OK } else { h::E_ACCESSDENIED };
            assert_eq!(code(ownership.TakeOwnership()), wanted);
        }
    });
}

#[test]
fn job_get_error_and_error_get_error() {
    run(here!(), |s| {
        let job = download(s, &manager(s), "missing", "x");
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(job.Resume()), h::S_OK);
            wait_state(&job, api::BG_JOB_STATE_ERROR);
            let error: api::IBackgroundCopyError = object(|p| job.GetError(p)).unwrap();
            let (mut context, mut number) = (0, 0);
            assert_eq!(code(error.GetError(&mut context, &mut number)), h::S_OK);
            assert_eq!(
                (context, HResult::from_signed(number)),
                (api::BG_ERROR_CONTEXT_REMOTE_FILE, h::BG_E_HTTP_ERROR_404)
            );
            let file: api::IBackgroundCopyFile = object(|p| error.GetFile(p)).unwrap();
            assert!(text(|p| file.GetRemoteName(p)).unwrap().ends_with("/missing"));
            assert_eq!(text(|p| error.GetProtocol(p)).as_deref(), Some("http"));
            let words = text(|p| error.GetErrorDescription(0x0409, p)).unwrap();
            assert_eq!(words, h::BG_E_HTTP_ERROR_404.text());
            let words = text(|p| error.GetErrorContextDescription(0x0409, p)).unwrap();
            assert_eq!(words, h::BG_E_ERROR_CONTEXT_REMOTE_FILE.text());
            let mut place = null_mut();
            assert_eq!(code(error.GetErrorDescription(0, &mut place)), h::E_INVALIDARG);
            assert_eq!(
                code(error.GetErrorContextDescription(0x0407, &mut place)),
                h::ERROR_RESOURCE_LANG_NOT_FOUND
            );
            assert_eq!(code(error.GetError(null_mut(), &mut number)), h::E_INVALIDARG);
            assert_eq!(value(|p| job.GetErrorCount(p)), 1);
            // The copy stays as it was.
            assert_eq!(code(job.Cancel()), h::S_OK);
            assert_eq!(code(error.GetError(&mut context, &mut number)), h::S_OK);
        }
    });
}

#[test]
fn job2_set_notify_cmd_line_credentials_and_reply() {
    run(here!(), |s| {
        let manager = manager(s);
        let job: api::IBackgroundCopyJob2 = new_job(&manager, "a", api::BG_JOB_TYPE_DOWNLOAD).cast().unwrap();
        let null = std::ptr::null();
        // SAFETY: calls as a program makes them.
        unsafe {
            let command = || {
                let (mut program, mut parameters) = (null_mut(), null_mut());
                assert_eq!(code(job.GetNotifyCmdLine(&mut program, &mut parameters)), h::S_OK);
                (take(program).unwrap(), take(parameters).unwrap())
            };
            assert_eq!(command(), (String::new(), String::new()));
            let (program, parameters) = (w("/bin/true"), w("/bin/true \"a b\""));
            assert_eq!(code(job.SetNotifyCmdLine(program.as_ptr(), parameters.as_ptr())), h::S_OK);
            assert_eq!(command(), ("/bin/true".to_owned(), "/bin/true \"a b\"".to_owned()));
            assert_eq!(code(job.SetNotifyCmdLine(null, parameters.as_ptr())), h::E_INVALIDARG);
            assert_eq!(code(job.SetNotifyCmdLine(null, null)), h::S_OK);
            assert_eq!(command(), (String::new(), String::new()));

            let (mut user, mut password) = (w("ü"), w("p😀"));
            let mut basic =
                api::BG_BASIC_CREDENTIALS { UserName: user.as_mut_ptr(), Password: password.as_mut_ptr() };
            let set = |target, scheme, basic| {
                let credentials = api::BG_AUTH_CREDENTIALS {
                    Target: target,
                    Scheme: scheme,
                    Credentials: api::BG_AUTH_CREDENTIALS_UNION { Basic: basic },
                };
                code(job.SetCredentials(&credentials))
            };
            let (server, digest) = (api::BG_AUTH_TARGET_SERVER, api::BG_AUTH_SCHEME_DIGEST);
            assert_eq!(set(server, digest, basic), h::S_OK);
            assert_eq!(set(3, digest, basic), h::BG_E_INVALID_AUTH_TARGET);
            assert_eq!(set(-1, digest, basic), h::BG_E_INVALID_AUTH_TARGET);
            assert_eq!(set(server, 6, basic), h::BG_E_INVALID_AUTH_SCHEME);
            let mut long = w(&"u".repeat(301));
            basic.UserName = long.as_mut_ptr();
            assert_eq!(set(server, digest, basic), h::BG_E_USERNAME_TOO_LARGE);
            let nobody = api::BG_BASIC_CREDENTIALS { UserName: null_mut(), Password: null_mut() };
            assert_eq!(set(server, digest, nobody), h::E_INVALIDARG);
            assert_eq!(set(server, api::BG_AUTH_SCHEME_NEGOTIATE, nobody), h::S_OK);
            assert_eq!(code(job.RemoveCredentials(server, digest)), h::S_OK);
            assert_eq!(code(job.RemoveCredentials(server, digest)), h::S_FALSE);
            assert_eq!(code(job.RemoveCredentials(-1, digest)), h::BG_E_INVALID_AUTH_TARGET);
            assert_eq!(code(job.SetCredentials(null_mut())), h::RPC_X_NULL_REF_POINTER);

            // The reply part is for upload-reply jobs.
            let mut progress = api::BG_JOB_REPLY_PROGRESS { BytesTotal: 0, BytesTransferred: 0 };
            let (mut place, mut buffer, mut length) = (null_mut(), null_mut(), 0);
            assert_eq!(code(job.GetReplyProgress(&mut progress)), h::E_NOTIMPL);
            assert_eq!(code(job.GetReplyFileName(&mut place)), h::E_NOTIMPL);
            assert_eq!(code(job.SetReplyFileName(w(&s.path("r")).as_ptr())), h::E_NOTIMPL);
            assert_eq!(code(job.GetReplyData(&mut buffer, &mut length)), h::E_NOTIMPL);
            let job: api::IBackgroundCopyJob2 =
                new_job(&manager, "u", api::BG_JOB_TYPE_UPLOAD_REPLY).cast().unwrap();
            assert_eq!(code(job.GetReplyProgress(&mut progress)), h::S_OK);
            assert_eq!(progress.BytesTotal, api::BG_SIZE_UNKNOWN);
            assert_eq!(text(|p| job.GetReplyFileName(p)), None);
            assert_eq!(code(job.SetReplyFileName(w(&s.path("r")).as_ptr())), h::S_OK);
            assert_eq!(text(|p| job.GetReplyFileName(p)), Some(s.path("r")));
            assert_eq!(code(job.SetReplyFileName(null)), h::S_OK);
            assert_eq!(code(job.GetReplyData(&mut buffer, &mut length)), h::BG_E_INVALID_STATE);
            assert_eq!(code(job.GetReplyData(&mut buffer, null_mut())), h::E_INVALIDARG);
        }
    });
}

#[test]
fn job3_add_file_with_ranges_and_job4() {
    run(here!(), |s| {
        let job: api::IBackgroundCopyJob4 =
            new_job(&manager(s), "a", api::BG_JOB_TYPE_DOWNLOAD).cast().unwrap();
        let range = |offset, length| api::BG_FILE_RANGE { InitialOffset: offset, Length: length };
        let (url, path) = (w(&s.origin().url("f")), w(&s.path("f")));
        // SAFETY: calls as a program makes them.
        unsafe {
            let add = |ranges: &[api::BG_FILE_RANGE]| {
                code(job.AddFileWithRanges(url.as_ptr(), path.as_ptr(), ranges.len() as u32, ranges.as_ptr()))
            };
            assert_eq!(add(&[range(500, 100), range(0, 50)]), h::S_OK);
            assert_eq!(add(&[range(0, 10), range(5, 5)]), h::BG_E_OVERLAPPING_RANGES);
            assert_eq!(add(&[range(api::BG_LENGTH_TO_EOF, 10)]), h::BG_E_INVALID_RANGE);
            assert_eq!(add(&[]), h::E_INVALIDARG);
            assert_eq!(
                code(job.AddFileWithRanges(url.as_ptr(), path.as_ptr(), 1, std::ptr::null())),
                h::RPC_X_NULL_REF_POINTER
            );
            let file: api::IBackgroundCopyFile2 = first_file(&job).cast().unwrap();
            let (mut count, mut ranges) = (77, null_mut());
            assert_eq!(code(file.GetFileRanges(&mut count, &mut ranges)), h::S_OK);
            let got: Vec<_> = std::slice::from_raw_parts(ranges, count as usize)
                .iter()
                .map(|r| (r.InitialOffset, r.Length))
                .collect();
            free(ranges.cast());
            assert_eq!(got, [(500, 100), (0, 50)]);

            let replace =
                |old: &str, new: &str| code(job.ReplaceRemotePrefix(w(old).as_ptr(), w(new).as_ptr()));
            assert_eq!(replace("ftp://", "http://"), h::S_FALSE);
            assert_eq!(replace("", "http://"), h::E_INVALIDARG);
            assert_eq!(replace(&s.origin().url(""), "http://127.0.0.1:9/"), h::S_OK);
            assert_eq!(text(|p| file.GetRemoteName(p)).as_deref(), Some("http://127.0.0.1:9/f"));
            assert_eq!(code(job.SetFileACLFlags(0xF)), h::S_OK);
            assert_eq!(code(job.SetFileACLFlags(0x10)), h::E_INVALIDARG);
            assert_eq!(value(|p| job.GetFileACLFlags(p)), 0xF);

            assert_eq!(code(job.SetPeerCachingFlags(5)), h::S_OK);
            assert_eq!(code(job.SetPeerCachingFlags(8)), h::E_NOTIMPL);
            assert_eq!(value(|p| job.GetPeerCachingFlags(p)), 5);
            let level = value(|p| job.GetOwnerIntegrityLevel(p));
            assert!([0x2000, 0x3000, 0x4000].contains(&level), "{level:#x}");
            assert!(value(|p| job.GetOwnerElevationState(p)) <= 1);
            assert_eq!(value(|p| job.GetMaximumDownloadTime(p)), 7_776_000);
            assert_eq!(code(job.SetMaximumDownloadTime(60)), h::S_OK);
            assert_eq!(code(job.SetMaximumDownloadTime(0)), h::E_INVALIDARG);
            assert_eq!(value(|p| job.GetMaximumDownloadTime(p)), 60);
        }
    });
}

#[test]
fn job5_set_property() {
    run(here!(), |s| {
        let job: api::IBackgroundCopyJob5 =
            new_job(&manager(s), "a", api::BG_JOB_TYPE_DOWNLOAD).cast().unwrap();
        // SAFETY: calls as a program makes them; the member that is read is the one of the property.
        unsafe {
            let get = |id| value::<api::BITS_JOB_PROPERTY_VALUE>(|p| job.GetProperty(id, p));
            let set = |id, value| code(job.SetProperty(id, value));
            let dword = |n| api::BITS_JOB_PROPERTY_VALUE { Dword: n };
            // What its priority has by the policy; every mask of the policy has this bit.
            assert_ne!(
                get(api::BITS_JOB_PROPERTY_ID_COST_FLAGS).Dword & api::BITS_COST_OPTION_IGNORE_CONGESTION,
                0
            );
            assert_eq!(set(api::BITS_JOB_PROPERTY_ID_COST_FLAGS, dword(0x8000_0021)), h::S_OK);
            assert_eq!(get(api::BITS_JOB_PROPERTY_ID_COST_FLAGS).Dword, 0x8000_0021);
            assert_eq!(get(api::BITS_JOB_PROPERTY_NOTIFICATION_CLSID).ClsID, GUID::zeroed());
            assert_eq!(get(api::BITS_JOB_PROPERTY_DYNAMIC_CONTENT).Enable, 0);
            // Any number but 0 is TRUE.
            let yes = api::BITS_JOB_PROPERTY_VALUE { Enable: -1 };
            assert_eq!(set(api::BITS_JOB_PROPERTY_DYNAMIC_CONTENT, yes), h::S_OK);
            assert_eq!(get(api::BITS_JOB_PROPERTY_DYNAMIC_CONTENT).Enable, 1);
            assert_eq!(
                set(api::BITS_JOB_PROPERTY_ON_DEMAND_MODE, yes),
                h::BG_E_UNSUPPORTED_JOB_CONFIGURATION
            );
            assert_eq!(get(api::BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE).Uint64, u64::MAX);
            let size = api::BITS_JOB_PROPERTY_VALUE { Uint64: 0x1_2345_6789 };
            assert_eq!(set(api::BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE, size), h::S_OK);
            assert_eq!(get(api::BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE).Uint64, 0x1_2345_6789);
            let none = api::BITS_JOB_PROPERTY_VALUE { Uint64: 0 };
            assert_eq!(
                set(api::BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE, none),
                h::BG_E_MAX_DOWNLOAD_SIZE_INVALID_VALUE
            );
            let target = |n| api::BITS_JOB_PROPERTY_VALUE { Target: n };
            assert_eq!(
                set(api::BITS_JOB_PROPERTY_USE_STORED_CREDENTIALS, target(1)),
                h::BG_E_USE_STORED_CREDENTIALS_NOT_SUPPORTED
            );
            assert_eq!(set(api::BITS_JOB_PROPERTY_USE_STORED_CREDENTIALS, target(2)), h::S_OK);
            assert_eq!(get(api::BITS_JOB_PROPERTY_USE_STORED_CREDENTIALS).Target, 2);
            assert_eq!(get(api::BITS_JOB_PROPERTY_MINIMUM_NOTIFICATION_INTERVAL_MS).Dword, 500);
            let unknown = h::BG_E_UNKNOWN_PROPERTY_ID;
            for id in [0, 6, 8, 11, -1] {
                assert_eq!(set(id, none), unknown, "{id}");
                let mut place = none;
                assert_eq!(code(job.GetProperty(id, &mut place)), unknown, "{id}");
            }
        }
    });
}

#[test]
fn job_http_options_set_custom_headers_and_others() {
    run(here!(), |s| {
        let job = new_job(&manager(s), "a", api::BG_JOB_TYPE_DOWNLOAD);
        let options: api::IBackgroundCopyJobHttpOptions3 = job.cast().unwrap();
        // SAFETY: calls as a program makes them.
        unsafe {
            let headers = || {
                let mut place = null_mut();
                let code = code(options.GetCustomHeaders(&mut place));
                (code, take(place))
            };
            assert_eq!(headers(), (h::S_FALSE, None));
            assert_eq!(code(options.SetCustomHeaders(w("X-A: ü\r\nX-B: 1\r\n").as_ptr())), h::S_OK);
            assert_eq!(headers(), (h::S_OK, Some("X-A: ü\r\nX-B: 1\r\n".to_owned())));
            assert_eq!(
                code(options.SetCustomHeaders(w(&format!("X: {}\r\n", "x".repeat(16_384))).as_ptr())),
                h::BG_E_STRING_TOO_LONG
            );
            assert_eq!(code(options.GetCustomHeaders(null_mut())), h::RPC_X_NULL_REF_POINTER);
            assert_eq!(code(options.SetCustomHeaders(std::ptr::null())), h::S_OK);
            assert_eq!(headers(), (h::S_FALSE, None));
            assert_eq!(code(options.SetSecurityFlags(0x10F)), h::S_OK);
            assert_eq!(code(options.SetSecurityFlags(0x300)), h::E_NOTIMPL);
            assert_eq!(value(|p| options.GetSecurityFlags(p)), 0x10F);
            assert_eq!(text(|p| options.GetHttpMethod(p)).as_deref(), Some("GET"));
            assert_eq!(code(options.SetHttpMethod(w("POST").as_ptr())), h::S_OK);
            assert_eq!(text(|p| options.GetHttpMethod(p)).as_deref(), Some("POST"));
            assert_eq!(value(|p| job.GetPriority(p)), api::BG_JOB_PRIORITY_FOREGROUND);
            assert_eq!(code(options.SetHttpMethod(w("").as_ptr())), h::E_INVALIDARG);
            assert_eq!(code(options.MakeCustomHeadersWriteOnly()), h::S_OK);
            assert_eq!(headers(), (h::E_ACCESSDENIED, None));

            let (mut location, mut store, mut hash, mut subject) = (0, null_mut(), null_mut(), null_mut());
            let none = code(options.GetClientCertificate(&mut location, &mut store, &mut hash, &mut subject));
            assert_eq!(none, h::RPC_X_BAD_STUB_DATA);
            assert_eq!(code(options.RemoveClientCertificate()), h::S_FALSE);
            let unknown = [7u8; 20];
            let by_id = |location, store: &str| {
                code(options.SetClientCertificateByID(location, w(store).as_ptr(), unknown.as_ptr()))
            };
            assert_eq!(by_id(5, "MY"), h::E_NOTIMPL);
            let missing = by_id(api::BG_CERT_STORE_LOCATION_CURRENT_USER, "MY");
            assert!([h::CRYPT_E_NOT_FOUND, h::ERROR_FILE_NOT_FOUND].contains(&missing), "{missing:?}");
            assert_eq!(
                code(options.SetClientCertificateByName(0, w("MY").as_ptr(), std::ptr::null())),
                h::RPC_X_NULL_REF_POINTER
            );
        }
    });
}

#[test]
fn token_options_set_helper_token_flags() {
    run(here!(), |s| {
        let job = new_job(&manager(s), "a", api::BG_JOB_TYPE_DOWNLOAD);
        let options: api::IBitsTokenOptions = job.cast().unwrap();
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(value(|p| options.GetHelperTokenFlags(p)), 0);
            assert_eq!(text(|p| options.GetHelperTokenSid(p)), None);
            assert_eq!(code(options.SetHelperTokenFlags(3)), h::S_OK);
            assert_eq!(code(options.SetHelperTokenFlags(4)), h::E_INVALIDARG);
            assert_eq!(value(|p| options.GetHelperTokenFlags(p)), 3);
            assert_eq!(code(options.SetHelperToken()), h::S_OK);
            assert!(text(|p| options.GetHelperTokenSid(p)).unwrap().starts_with("S-1-"));
            assert_eq!(code(options.ClearHelperToken()), h::S_OK);
            assert_eq!(text(|p| options.GetHelperTokenSid(p)), None);
            assert_eq!(code(options.ClearHelperToken()), h::S_OK);
        }
    });
}
