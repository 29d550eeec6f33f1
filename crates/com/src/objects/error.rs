//! IBackgroundCopyError (spec/bits-core.md 5.5): a copy of the error, made when it is handed out.

use super::super::*;
use crate::job::{Face, Job};
use crate::pool;
use openbits_api::ErrorView;
use openbits_api::error::parse_code;
use std::sync::Arc;
use windows_core::implement;

/// An error of a job.
#[implement(IBackgroundCopyError)]
pub(super) struct ErrorObject {
    job: Arc<Job>,
    view: ErrorView,
}

impl ErrorObject {
    pub(super) fn object(job: Arc<Job>, view: ErrorView) -> IBackgroundCopyError {
        Self { job, view }.into()
    }
}

/// The text of a code.
pub(super) fn describe(code: HResult, language: u32, text: OutText<'_, Wchar>) -> Done {
    let words = pool::call(async |client| client.describe(code, language).await)?;
    text.set(&words.text)?;
    OK
}

impl ErrorObject {
    /// Delivery Optimization tells a context, and a file, for HTTP 403 alone (spec/delivery-optimization-com.md 5.2).
    fn has_context(&self) -> bool {
        self.job.face() == Face::Bits || self.view.http_status == Some(403)
    }

    fn code(&self) -> HResult {
        self.job.said(parse_code(&self.view.hresult).unwrap_or(h::E_FAIL))
    }
}

impl IBackgroundCopyErrorMethods for ErrorObject {
    fn get_error(&self, context: Out<'_, i32>, code: Out<'_, i32>) -> Done {
        let delivery = self.job.face() == Face::Delivery;
        context.set(match self.has_context() {
            true if delivery => BG_ERROR_CONTEXT_REMOTE_FILE,
            true => self.view.context.value().into(),
            false => BG_ERROR_CONTEXT_NONE,
        });
        code.set(self.code().signed());
        OK
    }

    fn get_file(&self, file: OutObject<'_, IBackgroundCopyFile>) -> Done {
        let missing = self.job.said(h::BG_E_FILE_NOT_AVAILABLE);
        let index = self.view.file.filter(|_| self.has_context()).ok_or(missing)?;
        file.set(super::file(self.job.clone(), index));
        OK
    }

    fn get_error_description(&self, language: u32, text: OutText<'_, Wchar>) -> Done {
        describe(self.code(), language, text)
    }

    fn get_error_context_description(&self, language: u32, text: OutText<'_, Wchar>) -> Done {
        let context =
            if self.has_context() { i32::from(self.view.context.value()) } else { BG_ERROR_CONTEXT_NONE };
        let message = CONTEXT_MESSAGES.iter().find(|row| row.0 == context);
        describe(message.map_or(h::BG_E_ERROR_CONTEXT_UNKNOWN, |row| row.1), language, text)
    }

    fn get_protocol(&self, protocol: OutText<'_, Wchar>) -> Done {
        protocol.set(self.view.protocol.as_deref().ok_or(h::BG_E_PROTOCOL_NOT_AVAILABLE)?)?;
        OK
    }
}
