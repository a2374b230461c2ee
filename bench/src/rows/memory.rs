//! `memory`: of a separate process, so that other rows do not disturb it.

use std::path::Path;

use crate::{
    bed::Bed,
    machine::resident_mb,
    measure::{Floor, Measure, Plan},
};

const WAITING: usize = 100_000;

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let (mut idle, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let folder = plan.folder.join(format!("memory-{}", std::process::id()));
        let figures = child_figures(&folder, plan.quick)?;
        std::fs::remove_dir_all(&folder)?;
        idle.push(figures.0);
        waiting.push(figures.1);
    }
    Ok(vec![
        Measure::new("memory, idle", "MB", idle, Floor::AtMost(40.0, None)),
        Measure::new("memory with 100,000 waiting", "MB", waiting, Floor::AtMost(80.0, None)),
    ])
}

#[expect(clippy::disallowed_methods, reason = "a measured process must do nothing but what is measured")]
fn child_figures(folder: &Path, quick: bool) -> anyhow::Result<(f64, f64)> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.arg("--memory-of").arg(folder);
    if quick {
        command.arg("--quick");
    }
    let output = command.output()?;
    anyhow::ensure!(output.status.success(), "the child failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    match figures[..] {
        [idle, waiting] => Ok((idle, waiting)),
        _ => anyhow::bail!("the child said {text:?}"),
    }
}

/// Runs the measured process: waits idle, then with a full queue that is paused, and prints both figures.
pub async fn child(folder: &Path, plan: &Plan) -> anyhow::Result<()> {
    let bed = Bed::open(folder, 8).await?;
    bed.submit_batches(100, 1, |number| Bed::task("noop", number, 0)).await?;
    bed.completed(100).await?;
    let idle = resident_mb()?;
    bed.pause(true).await?;
    bed.submit_batches(plan.size(WAITING), 500, |number| Bed::task("noop", number, 0)).await?;
    println!("{idle} {}", resident_mb()?);
    bed.close().await;
    Ok(())
}
