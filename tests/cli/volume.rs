//! `volume`: series of counts, good and odd.

use std::fmt::Write as _;

use serde_json::Value;

use super::support::Desk;

/// Twenty days of ten-minute counts by the hour of the day, with a burst on the last one.
fn series() -> String {
    let mut text = "timestamp,value\n".to_owned();
    for row in 0..20 * 144 {
        let (day, minute) = (row / 144 + 1, row % 144 * 10);
        let usual = 3 + minute / 240 + (row * 7919) % 5;
        let value = if row == 19 * 144 + 60 { 90 } else { usual };
        writeln!(text, "2026-03-{day:02} {:02}:{:02}:00,{value}", minute / 60, minute % 60).unwrap();
    }
    text
}

#[test]
fn a_burst_is_the_one_alarm_and_the_rows_say_what_was_usual() {
    let desk = Desk::new();
    let ran = desk.file("s.csv", series()).run(&["volume", "s.csv"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut lines = ran.out.lines();
    assert_eq!(lines.next(), Some("timestamp,value,expected,upper,score,alarm"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 20 * 144);
    let alarms: Vec<&Vec<&str>> = rows.iter().filter(|row| row[5] == "1").collect();
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!(alarms[0][..2], ["2026-03-20 10:00:00", "90"]);
    let number = |row: &[&str], column: usize| row[column].parse::<f64>().unwrap();
    assert!((5.0..9.0).contains(&number(alarms[0], 2)), "{alarms:?}");
    for row in &rows {
        let alarm = row[5] == "1";
        assert_eq!(alarm, row[3].parse().is_ok_and(|upper: f64| number(row, 1) > upper), "{row:?}");
        assert!(
            if alarm { (0.5..=1.0).contains(&number(row, 4)) } else { (0.0..0.5).contains(&number(row, 4)) },
            "{row:?}"
        );
    }
    assert_eq!(ran.err, "2,880 rows of 10 min each: 1 alarm\n");
}

#[test]
fn a_row_is_judged_by_those_before_it() {
    let whole = Desk::new().file("s.csv", series()).run(&["volume", "s.csv"]).out;
    let series = series();
    let part: String = series.split_inclusive('\n').take(2_000).collect();
    let part = Desk::new().feed(&["volume", "-"], part.as_bytes()).out;
    assert!(whole.starts_with(&part));
}

#[test]
fn both_forms_of_time_and_packed_files_are_read_and_json_says_why() {
    let zulu = series().replace(' ', "T").replace(":00,", ":00Z,");
    let desk = Desk::new();
    desk.file("s.csv", series()).file("z.csv.zst", zstd::encode_all(zulu.as_bytes(), 1).unwrap());
    let plain = desk.run(&["volume", "s.csv", "--json"]);
    let zulu = desk.run(&["volume", "z.csv.zst", "--json"]);
    assert_eq!(plain.out.replace(' ', ""), zulu.out.replace('T', "").replace(":00Z\"", ":00\"").replace(' ', ""));
    let rows: Vec<Value> = plain.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let why = rows.iter().find_map(|row| row["why"].as_str()).unwrap();
    assert!(why.contains("at this hour of the week; by chance less than once in"), "{why}");
    let summary = rows.last().unwrap();
    assert_eq!((summary["rows"].as_u64(), summary["alarms"].as_u64()), (Some(2880), Some(1)), "{summary}");
    assert_eq!(summary["interval_seconds"].as_f64(), Some(600.0));
}

#[test]
fn rows_that_are_missing_or_late_are_told_and_do_no_harm() {
    let kept = |place: usize| !(1000..1040).contains(&place);
    let mut lines: Vec<String> = series()
        .lines()
        .map(str::to_owned)
        .enumerate()
        .filter(|(place, _)| kept(*place))
        .map(|(_, line)| line)
        .collect();
    lines.swap(1500, 1501);
    let ran = Desk::new().file("s.csv", lines.join("\r\n")).run(&["volume", "s.csv"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, lines.len()), "{}", ran.err);
    assert!(ran.err.contains("1 alarm\n41 rows missing, taken as time that nobody saw\n"), "{}", ran.err);
    assert!(ran.err.contains("1 row came after a later one"), "{}", ran.err);
}

#[test]
fn a_file_without_rows_is_told() {
    let desk = Desk::new();
    let ran = desk.file("s.csv", "timestamp,value\n").run(&["volume", "s.csv"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 1), "{}", ran.err);
    assert!(ran.err.contains("nothing to judge"), "{}", ran.err);
}

#[test]
fn odd_input_is_told_with_its_line_and_a_remedy() {
    let rows = |rows: &str| format!("timestamp,value\n2026-03-01 00:00:00,1\n2026-03-01 00:05:00,2\n{rows}");
    for (text, message) in [
        (rows("yesterday,3"), "line 4 begins with \"yesterday\", which is no time; write it as 2026-11-22T10:00:00Z"),
        (rows("2026-03-01 00:10:00"), "line 4 has no second column"),
        (rows("2026-03-01 00:10:00,many"), "line 4 has \"many\" where a count should be; write a plain number"),
        (rows("2026-03-01 00:10:00,-3"), "line 4 counts -3, less than nothing"),
        ("timestamp,value\n2026-03-01 00:00:00,1\n".to_owned(), "no row is later than the one before"),
        ("timestamp;value\n2026-03-01 00:00:00;1\n".to_owned(), "line 2 begins with"),
    ] {
        let ran = Desk::new().file("s.csv", &text).run(&["volume", "s.csv"]);
        assert_eq!(ran.code, 1, "{text}");
        assert!(ran.err.contains(message), "{text}\n{}", ran.err);
    }
    let missing = Desk::new().run(&["volume", "nowhere.csv"]);
    assert!(missing.code == 1 && missing.err.contains("nowhere.csv: No such file"), "{}", missing.err);
    let empty = Desk::new().file("s.csv", "timestamp,value\n").run(&["volume", "s.csv"]);
    assert_eq!((empty.code, empty.out.as_str()), (0, "timestamp,value,expected,upper,score,alarm\n"));
}
