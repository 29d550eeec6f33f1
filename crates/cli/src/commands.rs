//! The commands.

mod doctor;
mod file;
mod helper;
pub(crate) mod http;
mod log;
mod policy;
mod ranges;
pub(crate) mod set;
mod wait;
mod watch;

use crate::args::{Add, Cli, Command, Create, Jobs, List, OneJob};
use crate::context::{Context, print, print_json};
use crate::failure::Failure;
use crate::{create, expect, get, input, names, password, put, resolve, show};
use clap::CommandFactory;
use openbits_api::error::exit;
use openbits_api::{AddFile, CreateJob, Outcome, SetProperties};
use openbits_client::{Action, JobQuery};
use openbits_core::HResult;
use std::path::Path;

/// Runs a command; the exit code.
pub(crate) async fn run(cli: Cli) -> Result<u8, Failure> {
    if let Command::Completions { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "bits", &mut script);
        print(String::from_utf8_lossy(&script).trim_end())?;
        return Ok(exit::OK);
    }
    let context = Context::new(&cli.global)?;
    match &cli.command {
        Command::Get(args) => return get::run(&context, args).await,
        Command::Put(args) => return put::run(&context, args).await,
        Command::Wait(args) => return wait::run(&context, args).await,
        Command::Doctor(args) => return doctor::run(&context, args).await,
        Command::Log(args) => return log::run(&context, args).await,
        Command::Watch(args) => return watch::run(&context, args).await,
        Command::Policy(command) => return policy::run(&context, command).await,
        Command::Create(args) => create_job(&context, args).await?,
        Command::Add(args) => add(&context, args).await?,
        Command::Ranges(args) => ranges::show(&context, args).await?,
        Command::Request(args) => {
            let id = resolve::job(&context.client, &args.job).await?;
            outcome(&context, &context.client.request_ranges(id, args.file, args.ranges.clone()).await?)?;
        }
        Command::Seek(args) => {
            let id = resolve::job(&context.client, &args.job).await?;
            outcome(&context, &context.client.update_position(id, args.file, args.offset).await?)?;
        }
        Command::Resume(args) => return act(&context, args, Action::Resume).await,
        Command::Suspend(args) => return act(&context, args, Action::Suspend).await,
        Command::Cancel(args) => return act(&context, args, Action::Cancel).await,
        Command::Complete(args) => return act(&context, args, Action::Complete).await,
        Command::File(command) => file::run(&context, command).await?,
        Command::Helper(command) => helper::run(&context, command).await?,
        Command::ReplacePrefix { job, old, new } => {
            let id = resolve::job(&context.client, job).await?;
            outcome(&context, &context.client.replace_remote_prefix(id, old, new).await?)?;
        }
        Command::Own(OneJob { job }) => {
            return act(&context, &Jobs { jobs: vec![job.clone()] }, Action::TakeOwnership).await;
        }
        Command::List(args) => list(&context, args).await?,
        Command::Show(OneJob { job }) => {
            let id = resolve::job(&context.client, job).await?;
            let job = context.client.job(id, true, true).await?;
            if context.json { print_json(&job)? } else { print(show::job(&job).join("\n"))? }
        }
        Command::Why(OneJob { job }) => {
            let id = resolve::job(&context.client, job).await?;
            let why = context.client.why(id).await?;
            if context.json { print_json(&why)? } else { print(show::why(&why).join("\n"))? }
        }
        Command::Set(args) => {
            let set::Changes { properties, certificate, no_validation } = set::changes(&args.properties)?;
            let slots = args.remove_credentials.iter().map(|text| password::slot(text));
            let slots = slots.collect::<Result<Vec<_>, _>>()?;
            let id = resolve::job(&context.client, &args.job).await?;
            let credentials = args.credentials.as_deref();
            let credentials =
                credentials.map(|text| password::credentials(text, args.password_fd)).transpose()?;
            if !properties.is_empty() {
                outcome(&context, &context.client.set_properties(id, &properties).await?)?;
            }
            match certificate {
                Some(Some(wanted)) => {
                    outcome(&context, &context.client.set_client_certificate(id, &wanted).await?)?;
                }
                Some(None) => outcome(&context, &context.client.remove_client_certificate(id).await?)?,
                None => {}
            }
            if no_validation {
                outcome(&context, &context.client.stop_certificate_checks(id).await?)?;
            }
            for (target, scheme) in slots {
                outcome(&context, &context.client.remove_credentials(id, &target, &scheme).await?)?;
            }
            if let Some(credentials) = credentials {
                outcome(&context, &context.client.set_credentials(id, &credentials).await?)?;
            }
        }
        Command::ServiceInfo => {
            let info = context.client.service_info().await?;
            if context.json {
                print_json(&info)?;
            } else {
                print(show::service(&info, &context.client.endpoint().path).join("\n"))?;
            }
        }
        Command::Completions { .. } => {} // Done above: it needs no service.
    }
    Ok(exit::OK)
}

/// Prints the job as JSON if wanted; says a success code that is more than plain success.
fn outcome(context: &Context, outcome: &Outcome) -> Result<(), Failure> {
    if context.json {
        return print_json(outcome);
    }
    if let Some(code) = openbits_api::error::parse_code(&outcome.hresult).filter(|c| c.bits() != 0) {
        context.note(format!("bits: job {}: {}", outcome.job.id, said(code)));
    }
    Ok(())
}

fn said(code: HResult) -> String {
    format!("{code} {}: {}", openbits_api::error::name(code), code.text())
}

async fn create_job(context: &Context, args: &Create) -> Result<(), Failure> {
    let http = args.http.read()?;
    let request = CreateJob {
        id: None,
        display_name: args.name.clone(),
        kind: args.kind,
        files: vec![],
        resume: false,
        properties: SetProperties { priority: args.priority, ..http.properties },
        environment_proxy: openbits_client::environment_proxy(|name| std::env::var(name).ok()),
        dialect: openbits_core::job::Dialect::Bits,
    };
    let job = create::create(context, request, http.certificate.as_ref()).await?;
    if context.json { print_json(&job) } else { print(&job.id) }
}

async fn add(context: &Context, args: &Add) -> Result<(), Failure> {
    let lines = match (&args.from, &args.url) {
        (Some(list), _) => input::read(list)?,
        (None, Some(url)) => {
            vec![input::Line { url: url.clone(), path: args.path.clone(), sha256: None }]
        }
        (None, None) => vec![], // The arguments' definition excludes it.
    };
    let mut files = Vec::new();
    for line in lines {
        let Some(path) = &line.path else {
            return Err(Failure::Usage(format!("`{}` has no destination", line.url)));
        };
        // An upload's path is its source: it is taken as given, and may be a file only.
        let remote_name = names::remote_name(&line.url)?;
        let path = names::destination(&remote_name, Some(path), Path::new(""));
        let ranges = (!args.ranges.is_empty()).then(|| args.ranges.clone());
        let local_name = names::local_name(&path)?;
        files.push(AddFile { remote_name, local_name, sha256: line.sha256, ranges, ..AddFile::default() });
    }
    if files.is_empty() {
        return Err(Failure::Usage("the list names no file".to_owned()));
    }
    expect::apply(&args.expect, &mut files)?;
    let id = resolve::job(&context.client, &args.job).await?;
    outcome(context, &context.client.add_files(id, files).await?)
}

/// Does the same to several jobs. All are tried; the exit code is that of the first failure.
async fn act(context: &Context, args: &Jobs, action: Action) -> Result<u8, Failure> {
    let mut code = exit::OK;
    for text in &args.jobs {
        let result = async {
            let id = resolve::job(&context.client, text).await?;
            let done = context.client.act(id, action).await?;
            outcome(context, &done)
        };
        match result.await {
            Ok(()) => {}
            Err(e @ (Failure::ReaderGone | Failure::Output(_))) => return Err(e),
            Err(e) => {
                e.report();
                code = if code == exit::OK { e.exit_code() } else { code };
            }
        }
    }
    Ok(code)
}

async fn list(context: &Context, args: &List) -> Result<(), Failure> {
    let query = JobQuery { all_users: args.all_users, states: args.state.clone(), ..JobQuery::default() };
    let jobs = context.client.jobs(&query).await?;
    if context.json {
        return print_json(&openbits_api::JobPage { schema: openbits_api::SCHEMA, jobs, next: None });
    }
    if jobs.is_empty() {
        context.note("no jobs");
        return Ok(());
    }
    print(show::table(&jobs).join("\n"))
}
