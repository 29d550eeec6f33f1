//! `bits file`: one file of a job.

use super::outcome;
use crate::args::{FileOfJob, OneFile};
use crate::context::{Context, print, print_json};
use crate::failure::Failure;
use crate::text::clean;
use crate::{names, resolve};
use openbits_core::JobId;

/// BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS
const HEADERS: u32 = 1;

pub(super) async fn run(context: &Context, command: &OneFile) -> Result<(), Failure> {
    let client = &context.client;
    match command {
        OneFile::Url { file, url } => {
            let url = names::remote_name(url)?;
            let (id, index) = resolved(context, file).await?;
            outcome(context, &client.set_remote_name(id, index, &url).await?)
        }
        OneFile::Validate { file, valid } => {
            let valid = super::set::switch(valid);
            let valid = valid.ok_or_else(|| Failure::Usage("valid: yes or no".to_owned()))?;
            let (id, index) = resolved(context, file).await?;
            outcome(context, &client.set_validation(id, index, valid).await?)
        }
        OneFile::Headers { file } => {
            let (id, index) = resolved(context, file).await?;
            let property = client.file_property(id, index, HEADERS).await?;
            if context.json {
                return print_json(&property);
            }
            match property.value {
                // Line by line: what a server says must not steer the terminal.
                Some(text) => print(text.lines().map(clean).collect::<Vec<_>>().join("\n")),
                None => {
                    context.note("no answer has come yet");
                    Ok(())
                }
            }
        }
    }
}

async fn resolved(context: &Context, file: &FileOfJob) -> Result<(JobId, u32), Failure> {
    Ok((resolve::job(&context.client, &file.job).await?, file.index))
}
