//! Compilers prove the headers: everything in the tables of the specification, in every flavour of `WCHAR`.
//!
//! The expectations are read from the tables here, and only here: nothing of the header writer is used.

mod mutants;
mod sources;

use crate::generate::root;
use crate::run::has;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Compiler flag, bytes of WCHAR.
const FLAVOURS: &[(&str, &str, u32)] =
    &[("plain", "-DOPENBITS_PLAIN", 4), ("short", "-fshort-wchar", 2), ("char16", "-DOPENBITS_CHAR16", 2)];

struct Task {
    title: String,
    compiler: &'static str,
    arguments: Vec<String>,
    source: PathBuf,
    /// None: only the syntax is looked at.
    program: Option<PathBuf>,
    /// The mistake that must be found; None for the headers as they are.
    mistake: Option<&'static str>,
}

/// Compiles and runs everything. Missing compilers are said loudly and left out; none at all is an error only in CI.
pub(crate) fn run() -> Result<()> {
    let folder = root().join("target/headers");
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let tasks = tasks(&folder)?;
    let failures = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(4);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let problem = match (perform(task), task.mistake) {
                        (Ok(()), None) | (Err(_), Some(_)) => continue,
                        (Err(error), None) => format!("{}: {error:#}", task.title),
                        (Ok(()), Some(mistake)) => format!("{mistake}: nobody noticed"),
                    };
                    failures.lock().expect("no thread panics").push(problem);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics");
    if !failures.is_empty() {
        bail!("headers:\n{}", failures.join("\n"));
    }
    eprintln!("headers: {} compilations agree with the tables", tasks.len());
    Ok(())
}

fn tasks(folder: &Path) -> Result<Vec<Task>> {
    let write = |name: &str, text: String| -> Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    };
    let cpp = write("layout.cpp", sources::cpp()?)?;
    let c = write("layout.c", sources::c()?)?;
    let inline = root().join("tests/cpp/inline.c");
    let smart = root().join("tests/cpp/smart_pointer.cpp");
    let mut tasks = Vec::new();
    for (c_compiler, cpp_compiler) in [("gcc", "g++"), ("clang", "clang++")] {
        if !has(cpp_compiler, "--version") {
            eprintln!("SKIPPED: {cpp_compiler} is missing; the headers are not proved with it");
            continue;
        }
        for (flavour, flag, bytes) in FLAVOURS {
            for standard in ["c++11", "c++17"] {
                for source in [&cpp, &inline, &smart] {
                    tasks.push(task(
                        cpp_compiler,
                        standard,
                        flavour,
                        &[flag, bytes_flag(*bytes)],
                        source,
                        folder,
                    ));
                }
            }
            for source in [&c, &inline] {
                tasks.push(task(c_compiler, "c11", flavour, &[flag, bytes_flag(*bytes)], source, folder));
            }
        }
    }
    if has("g++", "--version") {
        for (number, (wrong, include)) in mutants::write(folder)?.into_iter().enumerate() {
            let name = format!("mutant{number}");
            let mut mutant = task("g++", "c++11", &name, &[FLAVOURS[0].1, bytes_flag(4)], &cpp, folder);
            mutant.arguments.insert(0, format!("-I{}", include.display()));
            mutant.mistake = wrong;
            tasks.push(mutant);
        }
    }
    // The examples, which tests build and run against a service.
    for entry in root().join("examples/cpp").read_dir()? {
        let path = entry?.path();
        let (compiler, standard) = match path.extension().and_then(|extension| extension.to_str()) {
            Some("cpp") => ("g++", "c++11"),
            Some("c") => ("gcc", "c11"),
            _ => continue,
        };
        if has(compiler, "--version") {
            let above = format!("-I{}", root().join("include").display());
            let mut example = task(compiler, standard, "example", &[&above], &path, folder);
            example.program = None;
            tasks.push(example);
        }
    }
    // Every header by itself, in both languages.
    for entry in
        root().join("include/openbits").read_dir()?.chain(root().join("include/openbits/shim").read_dir()?)
    {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".h") {
            continue;
        }
        for (compiler, extension) in [("gcc", "c"), ("g++", "cpp")] {
            if !has(compiler, "--version") || (extension == "c" && name == "atlbase.h") {
                continue;
            }
            let source =
                write(&format!("alone-{name}.{extension}"), format!("#include <{name}>\nint alone;\n"))?;
            let standard = if extension == "c" { "c11" } else { "c++11" };
            let mut alone = task(compiler, standard, "alone", &[], &source, folder);
            alone.program = None;
            tasks.push(alone);
        }
    }
    Ok(tasks)
}

fn bytes_flag(bytes: u32) -> &'static str {
    if bytes == 2 { "-DEXPECTED_WCHAR=2" } else { "-DEXPECTED_WCHAR=4" }
}

fn task(
    compiler: &'static str,
    standard: &str,
    flavour: &str,
    flags: &[&str],
    source: &Path,
    folder: &Path,
) -> Task {
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let title = format!("{name} {compiler} {standard} {flavour}");
    let include = root().join("include/openbits");
    let mut arguments = vec![
        format!("-std={standard}"),
        format!("-I{}", include.display()),
        format!("-I{}", include.join("shim").display()),
    ];
    let language = if standard.starts_with("c++") { "c++" } else { "c" };
    arguments
        .extend(["-x", language, "-fno-strict-aliasing", "-Wall", "-Wextra", "-Werror"].map(str::to_owned));
    if language == "c++" {
        arguments.push("-Wnon-virtual-dtor".to_owned());
    }
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let program = Some(folder.join(title.replace([' ', '+'], "_")));
    let mistake = None;
    Task { title, compiler, arguments, source: source.to_path_buf(), program, mistake }
}

fn perform(task: &Task) -> Result<()> {
    let mut command = Command::new(task.compiler);
    command.args(&task.arguments).arg(&task.source);
    match &task.program {
        Some(program) => command.arg("-o").arg(program),
        None => command.arg("-fsyntax-only"),
    };
    let output = command.output().with_context(|| format!("starting {}", task.compiler))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("does not compile\n{}", text.lines().take(20).collect::<Vec<_>>().join("\n"));
    }
    if let Some(program) = &task.program {
        let output =
            Command::new(program).output().with_context(|| format!("starting {}", program.display()))?;
        if !output.status.success() {
            bail!("{}\n{}", output.status, String::from_utf8_lossy(&output.stdout));
        }
    }
    Ok(())
}
