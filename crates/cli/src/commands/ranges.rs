//! `bits ranges`: which bytes a file consists of, or which are there.

use crate::args::Ranges;
use crate::context::{Context, print, print_json};
use crate::failure::Failure;
use crate::{resolve, text};

pub(super) async fn show(context: &Context, args: &Ranges) -> Result<(), Failure> {
    let id = resolve::job(&context.client, &args.job).await?;
    let list = if args.filled {
        context.client.filled_ranges(id, args.file).await?
    } else {
        context.client.file_ranges(id, args.file).await?
    };
    if context.json {
        return print_json(&list);
    }
    if list.ranges.is_empty() {
        context.note(if args.filled { "nothing is there yet" } else { "the file is the whole remote file" });
        return Ok(());
    }
    let lines: Vec<String> = list.ranges.iter().map(text::range_shown).collect();
    print(lines.join("\n"))
}
