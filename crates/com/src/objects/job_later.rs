//! IBackgroundCopyJob2 to 5 (spec/bits-core.md 5.3, spec/bits-extended.md 4 to 6).

use super::super::*;
use super::file::ranges_of;
use super::job::{OfJob, size};
use core::mem::transmute;
use openbits_api::{AddFile, NotifyCommandView, SetCredentials, SetNumbered};
use openbits_core::Secret;
use openbits_core::job::options::{PropertyId, PropertyValue};

/// The reply part; E_NOTIMPL for jobs without one.
fn reply(object: &impl OfJob) -> Result<openbits_api::ReplyView, HResult> {
    object.job().view()?.reply.clone().ok_or(h::E_NOTIMPL)
}

/// Delivery Optimization has two of the properties (spec/delivery-optimization-com.md 5.1).
fn check_property(object: &impl OfJob, id: i32) -> Result<(), HResult> {
    let known = matches!(id, BITS_JOB_PROPERTY_ID_COST_FLAGS | BITS_JOB_PROPERTY_NOTIFICATION_CLSID);
    if object.is_delivery() && !known { Err(h::E_NOTIMPL) } else { Ok(()) }
}

impl<T: OfJob> IBackgroundCopyJob2Methods for T {
    fn set_notify_cmd_line(&self, program: Option<String>, parameters: Option<String>) -> Done {
        // Not available there (spec/delivery-optimization-com.md 5.2).
        if self.is_delivery() {
            return Err(h::E_NOTIMPL);
        }
        self.set(|p| p.notify_command = Some(NotifyCommandView { program, parameters, argv: None }))
    }

    fn get_notify_cmd_line(&self, program: OutText<'_, Wchar>, parameters: OutText<'_, Wchar>) -> Done {
        let job = self.job().view()?;
        program.set(&job.notify_program)?;
        parameters.set(&job.notify_parameters)?;
        OK
    }

    fn get_reply_progress(&self, progress: Out<'_, BG_JOB_REPLY_PROGRESS>) -> Done {
        let reply = reply(self)?;
        progress.set(BG_JOB_REPLY_PROGRESS {
            BytesTotal: size(reply.bytes_total),
            BytesTransferred: reply.bytes_transferred,
        });
        OK
    }

    fn get_reply_data(&self, buffer: OutArray<'_, u8>, length: Option<Out<'_, u64>>) -> Done {
        let length = length.ok_or(h::E_INVALIDARG)?;
        match self.job().read(async |client, id| client.reply(id).await) {
            Ok(bytes) => {
                buffer.set(&bytes)?;
                length.set(bytes.len() as u64);
                OK
            }
            Err(h::BG_E_TOO_LARGE) => {
                length.set(reply(self)?.bytes_total.unwrap_or(0));
                Err(h::BG_E_TOO_LARGE)
            }
            Err(h::BG_E_NOT_FOUND) => Err(h::BG_E_INVALID_STATE),
            Err(code) => Err(code),
        }
    }

    fn set_reply_file_name(&self, name: Option<String>) -> Done {
        self.set(|p| p.reply_file_name = Some(name.unwrap_or_default()))
    }

    fn get_reply_file_name(&self, name: OutText<'_, Wchar>) -> Done {
        name.set_or_null(reply(self)?.file_name.as_deref())?;
        OK
    }

    fn set_credentials(&self, credentials: &BG_AUTH_CREDENTIALS) -> Done {
        // SAFETY: the union has one arm; every bit pattern of two pointers is one.
        let basic = unsafe { credentials.Credentials.Basic };
        // SAFETY: the names of the caller's struct are texts, or NULL.
        let (user, password) = unsafe {
            (text_or_null(basic.UserName.cast_const())?, text_or_null(basic.Password.cast_const())?)
        };
        let set = SetCredentials {
            target: credentials.Target.cast_unsigned().to_string(),
            scheme: credentials.Scheme.cast_unsigned().to_string(),
            user: user.map(Secret::new),
            password: password.map(Secret::new),
        };
        self.job().change(async |client, id| client.set_credentials(id, &set).await)
    }

    fn remove_credentials(&self, target: i32, scheme: i32) -> Done {
        let (target, scheme) = (target.cast_unsigned().to_string(), scheme.cast_unsigned().to_string());
        self.job().change(async |client, id| client.remove_credentials(id, &target, &scheme).await)
    }
}

impl<T: OfJob> IBackgroundCopyJob3Methods for T {
    fn replace_remote_prefix(&self, old: String, new: String) -> Done {
        self.job().change(async |client, id| client.replace_remote_prefix(id, &old, &new).await)
    }

    fn add_file_with_ranges(
        &self,
        remote_name: String,
        local_name: String,
        ranges: &[BG_FILE_RANGE],
    ) -> Done {
        let ranges = Some(ranges_of(ranges));
        let file = AddFile { remote_name, local_name, ranges, ..AddFile::default() };
        self.job().change(async |client, id| client.add_files(id, vec![file]).await)
    }

    fn set_file_acl_flags(&self, flags: u32) -> Done {
        self.set(|p| p.acl_flags = Some(flags))
    }

    fn get_file_acl_flags(&self, flags: Out<'_, u32>) -> Done {
        flags.set(self.job().view()?.acl_flags);
        OK
    }
}

impl<T: OfJob> IBackgroundCopyJob4Methods for T {
    fn set_peer_caching_flags(&self, flags: u32) -> Done {
        self.set(|p| p.peer_caching_flags = Some(flags))
    }

    fn get_peer_caching_flags(&self, flags: Out<'_, u32>) -> Done {
        flags.set(self.job().view()?.peer_caching_flags);
        OK
    }

    fn get_owner_integrity_level(&self, level: Out<'_, u32>) -> Done {
        level.set(self.job().view()?.owner_integrity_level);
        OK
    }

    fn get_owner_elevation_state(&self, elevated: Out<'_, i32>) -> Done {
        elevated.set(self.job().view()?.owner_elevated.into());
        OK
    }

    fn set_maximum_download_time(&self, seconds: u32) -> Done {
        self.set(|p| p.maximum_download_time_s = Some(seconds))
    }

    fn get_maximum_download_time(&self, seconds: Out<'_, u32>) -> Done {
        seconds.set(u32::try_from(self.job().view()?.maximum_download_time_s).unwrap_or(u32::MAX));
        OK
    }
}

impl<T: OfJob> IBackgroundCopyJob5Methods for T {
    fn set_property(&self, id: i32, value: BITS_JOB_PROPERTY_VALUE) -> Done {
        check_property(self, id)?;
        let number = id.cast_unsigned();
        // SAFETY: the union has 16 bytes; the id says which of them are looked at, and the caller has set those.
        let bytes: [u8; 16] = unsafe { transmute(value) };
        // The service refuses what no property has, and may have another reason to refuse before.
        let value = PropertyId::from_value(number).map(|id| PropertyValue::of_bytes(id, bytes).to_string());
        let value = SetNumbered { value: value.unwrap_or_default() };
        self.job().change(async |client, id| client.set_numbered(id, number, &value).await)
    }

    fn get_property(&self, id: i32, value: Out<'_, BITS_JOB_PROPERTY_VALUE>) -> Done {
        check_property(self, id)?;
        let number = id.cast_unsigned();
        let got = self.job().read(async |client, id| client.numbered(id, number).await)?;
        let parsed = PropertyValue::parse(PropertyId::from_value(number)?, &got.value);
        // SAFETY: the union has 16 bytes, and takes any.
        value.set(unsafe {
            transmute::<[u8; 16], BITS_JOB_PROPERTY_VALUE>(parsed.map_err(|_| h::E_UNEXPECTED)?.to_bytes())
        });
        OK
    }
}

const _: () = assert!(size_of::<BITS_JOB_PROPERTY_VALUE>() == 16, "as bits5_0.h lays it out");
