//! Registers for a job's callbacks, prints each as a line of JSON, and answers it.
//!
//! `callbacks JOB [CODE]`: the job's GUID, and what every callback returns (default 0x00000000). Ends after JobTransferred or JobError
//! is accepted.

use openbits_api::CallbackKind;
use openbits_client::{Choice, Client};
use openbits_core::{HResult, JobId};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let job: JobId = arguments.next().ok_or("the GUID of a job is needed")?.parse()?;
    let code = match arguments.next() {
        Some(text) => openbits_api::error::parse_code(&text).ok_or("not a code such as 0x80004005")?,
        None => HResult::from_bits(0),
    };
    let mut callbacks = Client::find(&Choice::Any, None)?.callbacks().await?;
    callbacks.register(job).await?;
    loop {
        let call = callbacks.next().await?;
        println!("{}", serde_json::to_string(&call)?);
        callbacks.answer(&call, code).await?;
        if code.is_ok() && matches!(call.kind, CallbackKind::JobTransferred | CallbackKind::JobError) {
            return Ok(());
        }
    }
}
