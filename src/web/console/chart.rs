//! How an incident grew, as a picture in SVG that says the same in words to whoever cannot see it.
//!
//! Posts are bars, distinct authors a line, and what is usual a band. Nothing in it needs a style or script of its
//! own: colours come from the page's style sheet, also at night and in print.

use std::fmt::Write as _;
use std::time::Duration;

use crate::domain::harmless::escape_html;
use crate::domain::time::Timestamp;
use crate::web::backend::{Growth, Moment};

/// Of the whole picture.
const WIDTH: u32 = 600;
const HEIGHT: u32 = 120;
/// Room for the scale, and for the times below.
const LEFT: u32 = 44;
const TOP: u32 = 12;
const BELOW: u32 = 18;

/// What is usual, by what rules with a forecast have learnt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usual {
    /// 19 times in 20 there are at most so many in a stretch of `within`.
    pub(super) upper: f64,
    /// How long that is.
    pub(super) within: Duration,
}

/// What is said of the picture.
pub(super) struct Labels<'a> {
    /// The picture in a sentence.
    pub(super) says: &'a str,
    /// What bars are.
    pub(super) posts: &'a str,
    /// What the line is.
    pub(super) authors: &'a str,
    /// What the band is.
    pub(super) expected: &'a str,
}

/// The picture; `clock` writes times below it.
pub(super) fn draw(
    growth: &Growth,
    usual: Option<Usual>,
    labels: &Labels<'_>,
    clock: impl Fn(Timestamp) -> String,
) -> String {
    let Growth { from, every, moments } = growth;
    // What is usual in one stretch of the picture.
    let scale = |usual: Usual| every.as_secs_f64() / usual.within.as_secs_f64().max(1.0);
    let upper = usual.map(|usual| usual.upper * scale(usual));
    let most = moments.iter().map(|moment| moment.posts).max().unwrap_or(0);
    let top = nice(most.max(ceil(upper.unwrap_or(0.0))).max(1));
    let (width, height) = (WIDTH - LEFT, HEIGHT - TOP - BELOW);
    let step = f64::from(width) / count(moments.len().max(1));
    let y = |value: f64| f64::from(TOP + height) - (value / count(top)).min(1.0) * f64::from(height);
    let x = |place: usize| f64::from(LEFT) + step * count(place);
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escape_html(labels.says)
    );
    let bottom = f64::from(TOP + height);
    if let Some(upper) = upper {
        let up = y(upper);
        write_to(
            &mut svg,
            format_args!(
                "<rect class=\"band\" x=\"{LEFT}\" y=\"{up:.1}\" width=\"{width}\" height=\"{:.1}\"><title>{}</title></rect>",
                bottom - up,
                escape_html(labels.expected)
            ),
        );
    }
    for (place, moment) in moments.iter().enumerate().filter(|(_, moment)| moment.posts > 0) {
        let up = y(count(moment.posts));
        write_to(
            &mut svg,
            format_args!(
                "<rect class=\"bar\" x=\"{:.1}\" y=\"{up:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                x(place) + step * 0.1,
                (step * 0.8).max(1.0),
                bottom - up
            ),
        );
    }
    let line = moments
        .iter()
        .enumerate()
        .map(|(place, Moment { authors, .. })| format!("{:.1},{:.1}", x(place) + step / 2.0, y(count(*authors))));
    let line: Vec<String> = line.collect();
    if line.len() > 1 {
        write_to(&mut svg, format_args!("<polyline class=\"people\" points=\"{}\"/>", line.join(" ")));
    }
    let to = *from + every.saturating_mul(u32::try_from(moments.len()).unwrap_or(u32::MAX));
    let right = WIDTH - 2;
    write_to(
        &mut svg,
        format_args!(
            "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{WIDTH}\" y2=\"{bottom}\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{top}</text><text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">0</text>\
         <text x=\"{LEFT}\" y=\"{}\">{}</text><text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{}</text>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">▇ {} ─ {}</text></svg>",
            LEFT - 4,
            TOP + 8,
            LEFT - 4,
            HEIGHT - 4,
            escape_html(&clock(*from)),
            HEIGHT - 4,
            escape_html(&clock(to)),
            LEFT + width / 2,
            HEIGHT - 4,
            escape_html(labels.posts),
            escape_html(labels.authors),
        ),
    );
    svg
}

/// How long something took.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// What.
    pub(super) what: String,
    /// Seconds; none: it has not happened.
    pub(super) seconds: Option<f64>,
    /// The same for people.
    pub(super) took: String,
}

/// A bar for each, as long as it took, and a sentence of them all.
pub(super) fn bars(title: &str, bars: &[Bar]) -> String {
    const ROW: u32 = 24;
    const NAMES: u32 = 210;
    const NUMBERS: u32 = 110;
    let most = bars.iter().filter_map(|bar| bar.seconds).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let height = ROW * u32::try_from(bars.len()).unwrap_or_default() + 4;
    let says: Vec<String> = bars.iter().map(|bar| format!("{}: {}", bar.what, bar.took)).collect();
    let says = escape_html(&format!("{title}. {}", says.join(". ")));
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{says}\"><title>{says}</title>"
    );
    let mut y = 2;
    for bar in bars {
        let (name, took) = (escape_html(&bar.what), escape_html(&bar.took));
        let room = f64::from(WIDTH - NAMES - NUMBERS);
        let length = bar.seconds.map_or(0.0, |seconds| (seconds / most * room).max(2.0));
        let (text, beside) = (y + 16, f64::from(NAMES) + length + 6.0);
        write_to(
            &mut svg,
            format_args!(
                "<text x=\"0\" y=\"{text}\">{name}</text>\
                 <rect class=\"bar\" x=\"{NAMES}\" y=\"{}\" width=\"{length:.1}\" height=\"14\"/>\
                 <text x=\"{beside:.1}\" y=\"{text}\">{took}</text>",
                y + 5
            ),
        );
        y += ROW;
    }
    svg + "</svg>"
}

/// A string takes all that is written to it.
fn write_to(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).unwrap_or_default();
}

/// 1, 2 or 5 with noughts: the next that is no less.
fn nice(most: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [1, 2, 5] {
            if unit.saturating_mul(step) >= most {
                return unit.saturating_mul(step);
            }
        }
        unit = unit.saturating_mul(10);
    }
}

#[allow(clippy::cast_precision_loss, reason = "of a picture")]
fn count(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(u64::MAX) as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below none, and of a picture")]
fn ceil(number: f64) -> u64 {
    number.max(0.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: Labels<'_> = Labels { says: "a <b> & c", posts: "posts", authors: "authors", expected: "expected" };

    #[test]
    fn it_is_a_picture_and_a_sentence() {
        let moment = |posts, authors| Moment { posts, authors };
        let moments = vec![moment(0, 0), moment(7, 3), moment(40, 30)];
        let growth = Growth { from: Timestamp::from_seconds(0), every: Duration::from_mins(1), moments };
        let usual = Usual { upper: 50.0, within: Duration::from_mins(10) };
        let svg = draw(&growth, Some(usual), &LABELS, |at| at.to_string());
        assert_eq!(svg.matches("class=\"bar\"").count(), 2, "no bar for nothing");
        assert!(svg.contains("aria-label=\"a &lt;b&gt; &amp; c\""), "{svg}");
        assert!(svg.contains(">50</text>") && svg.contains("1970-01-01T00:03:00Z"), "{svg}");
        // 5 a minute of at most 50 on a scale of 90 units of height.
        assert!(svg.contains("class=\"band\" x=\"44\" y=\"93.0\""), "{svg}");
    }

    #[test]
    fn nothing_and_very_much_are_drawn_too() {
        let empty = draw(&Growth::default(), None, &LABELS, |at| at.to_string());
        assert!(empty.ends_with("</svg>"));
        let moments = vec![Moment { posts: u64::MAX, authors: u64::MAX }; 2];
        let growth = Growth { from: Timestamp::from_seconds(0), every: Duration::MAX, moments };
        assert!(!draw(&growth, None, &LABELS, |at| at.to_string()).contains("NaN"));
    }

    #[test]
    fn scales_end_at_round_numbers() {
        assert_eq!([1, 3, 7, 12, 51, 200, 201].map(nice), [1, 5, 10, 20, 100, 200, 500]);
    }
}
