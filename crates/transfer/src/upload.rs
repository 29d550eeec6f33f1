//! Uploads: the worker's side of the plans in `openbits_core::upload::client`.

mod attempt;
mod cancel;
mod exchange;
mod reply;
mod s3;
mod source;

pub(crate) use attempt::UploadAttempt;
pub(crate) use cancel::cancel;
#[cfg(feature = "fuzzing")]
pub(crate) use s3::plan_for_fuzzing;
pub(crate) use source::content;
