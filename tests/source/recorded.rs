//! Real recordings through the built program: the ledger adds up, and the built-in pack
//! stays calm. Without ../shared/data each test says so and passes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// The rows of a file in ../shared/data.
fn rows(name: &str) -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(format!("{name}.jsonl.zst"));
    let Ok(packed) = std::fs::read(&path) else {
        println!("skipped: no {name} at ../shared/data");
        return None;
    };
    let text = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn jetstream_frames() -> Option<Vec<String>> {
    let rows = rows("frames")?;
    let frames = rows.iter().filter(|row| row["src"] == "jetstream_v1");
    Some(frames.map(|row| row["frame"].as_str().unwrap().to_owned()).collect())
}

/// What `replay` prints of these lines.
fn replay(lines: &[String], arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("recording"), lines.join("\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormbell"));
    command.args(["replay", "recording"]).args(arguments).current_dir(folder.path());
    let output = command.env_remove("STORMBELL_CONFIG").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Alerts of a replay: rule and severity.
fn alerts(printed: &str) -> Vec<(String, String)> {
    let lines = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let alerts = lines.filter(|line| line["type"] == "alert");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    alerts.map(|alert| (text(&alert["rule"]), text(&alert["severity"]))).collect()
}

#[test]
fn every_frame_of_a_recorded_stream_is_accounted_for() {
    let Some(frames) = jetstream_frames() else { return };
    let printed = replay(&frames, &[]);
    assert!(printed.contains("76 frames: 8 posts, 68 other, 0 rejected, 0 duplicates\n"), "{printed}");
}

#[test]
fn every_broken_frame_is_rejected_for_its_reason_and_the_good_ones_still_count() {
    let Some(frames) = jetstream_frames() else { return };
    let broken = |change: fn(&mut Value)| {
        frames.iter().map(move |frame| {
            let mut frame: Value = serde_json::from_str(frame).unwrap();
            change(&mut frame);
            frame.to_string()
        })
    };
    let half_a_pair = |frame: String| frame.replace("HALF", "\\ud83d");
    let mut lines: Vec<String> = frames.iter().map(|frame| frame.strip_suffix('}').unwrap().to_owned()).collect();
    lines.extend(broken(|frame| frame["did"] = json!(5)));
    lines.extend(broken(|frame| frame["time_us"] = json!({})));
    lines.extend(broken(|frame| frame["did"] = json!("HALF")).map(half_a_pair));
    lines.extend(broken(|frame| frame["time_us"] = json!(1)));
    lines.extend(broken(|frame| drop(frame.as_object_mut().unwrap().remove("did"))));
    lines.extend(frames.iter().take(2).map(|frame| frame.clone() + &" ".repeat(17 << 20) + "}"));
    lines.extend(frames.iter().cloned());
    lines.extend(frames.iter().cloned());
    let printed = replay(&lines, &["--format", "jetstream"]);
    let n = frames.len();
    let expected = format!(
        "{} frames: 8 posts, {} other, {} rejected (2 too_large, {n} not_json, {n} lone_surrogate, {} wrong_type, {n} missing_field, {n} absurd_date), 8 duplicates\n",
        8 * n + 2,
        2 * 68,
        6 * n + 2,
        2 * n,
    );
    assert!(printed.contains(&expected), "expected {expected}got {printed}");
}

/// The rows of a collection as lines of `--format posts`. Rows that lost their times are
/// put an hour apart: together they would be a crowd that never was.
fn posts(name: &str) -> Option<Vec<String>> {
    let start: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let line = |(index, row): (usize, Value)| {
        let hours = i64::try_from(index).unwrap();
        let lost = (start + jiff::SignedDuration::from_hours(hours)).to_string();
        let created_at = row["created_at"].as_str().unwrap_or(&lost);
        let author = row["author"].as_str().map_or_else(|| format!("anonymous {index}"), ToOwned::to_owned);
        json!({"id": row["id"], "created_at": created_at, "author": {"id": author}, "text": row["text"]}).to_string()
    };
    Some(rows(name)?.into_iter().enumerate().map(line).collect())
}

/// Those alerts that wake people.
fn pages(printed: &str) -> Vec<(String, String)> {
    let mut alerts = alerts(printed);
    alerts.retain(|(_, severity)| severity == "critical" || severity == "high");
    alerts
}

#[test]
fn years_of_ordinary_talk_about_health_page_nobody() {
    for name in ["health_posts", "nhs_feedback", "drm_messages"] {
        let Some(lines) = posts(name) else { return };
        for organization in ["Johns Hopkins", "Bellevue", "Mayo", "NHS", "hospital", "nurse", "clinic"] {
            let printed = replay(&lines, &["--format", "posts", "--json", "--org", organization]);
            assert_eq!(pages(&printed), [], "{name} for {organization}");
        }
    }
}

#[test]
fn a_name_that_is_an_everyday_word_pages_nobody() {
    for name in ["t26_posts", "health_posts", "nhs_feedback", "drm_messages"] {
        let Some(lines) = posts(name) else { return };
        for organization in ["Mercy", "Hope", "Grace", "Trinity"] {
            let printed = replay(&lines, &["--format", "posts", "--json", "--org", organization]);
            assert_eq!(pages(&printed), [], "{name} for {organization}");
        }
    }
}

#[test]
fn a_shooting_is_found_and_the_hospital_that_treats_its_victims_is_not_paged() {
    let Some(lines) = posts("t26_posts") else { return };
    let of = |organization| replay(&lines, &["--format", "posts", "--json", "--org", organization]);
    let airport = alerts(&of("LAX"));
    assert!(airport.contains(&("active-threat.gunman".to_owned(), "critical".to_owned())), "{airport:?}");
    let hospital = of("UCLA");
    assert_eq!(pages(&hospital), []);
    assert!(alerts(&hospital).len() <= 2, "{hospital}");
    assert_eq!(pages(&of("hospital")), []);
}

#[test]
fn floods_quakes_and_crashes_are_found_where_they_happen() {
    let Some(lines) = posts("t26_posts") else { return };
    for (organization, rule) in [
        ("Sardegna", "evacuation.flood"),
        ("Costa Rica", "evacuation.nature"),
        ("Amuay", "evacuation.fire"),
        ("New York", "mass-casualty.event-near"),
    ] {
        let printed = replay(&lines, &["--format", "posts", "--json", "--org", organization]);
        let found: Vec<String> = pages(&printed).into_iter().map(|(rule, _)| rule).collect();
        assert!(found.iter().any(|found| found == rule), "{organization}: {found:?}");
    }
}
