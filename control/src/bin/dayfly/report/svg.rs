//! Plots as inline SVG: bars, stacked or plain, with an axis. Colours come from the page's style, so that a plot is read
//! in the dark too.

use super::html::escaped;

/// Width of a plot, in its own units.
const WIDTH: f64 = 720.0;
/// Height of its bars.
const HEIGHT: f64 = 180.0;
/// What is left of the bars, for the axis.
const LEFT: f64 = 56.0;
/// What is below them, for their names.
const BELOW: f64 = 24.0;
/// What is above them.
const ABOVE: f64 = 12.0;
/// How many colours the page has.
pub(crate) const COLOURS: usize = 8;

/// A bar: its name below, and its parts from bottom to top, each of a series.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) parts: Vec<f64>,
}

/// Draws `bars`, whose parts are called `series`, each counted in `unit`.
pub(crate) fn bars(title: &str, unit: &str, series: &[&str], bars: &[Bar]) -> String {
    let top = nice(bars.iter().map(|bar| bar.parts.iter().sum()).fold(0.0, f64::max));
    let label = escaped(title);
    let whole = ABOVE + HEIGHT + BELOW;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {whole}\" role=\"img\" aria-label=\"{label}\">");
    for step in 0..=4_u8 {
        let part = f64::from(step) / 4.0;
        let (y, value) = (ABOVE + HEIGHT * (1.0 - part), short(top * part));
        svg += &format!("<line class=\"axis\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        svg += &format!("<text class=\"number\" x=\"{}\" y=\"{:.1}\">{value}</text>", LEFT - 6.0, y + 4.0);
    }
    let slot = (WIDTH - LEFT) / number(bars.len().max(1));
    for (at, bar) in bars.iter().enumerate() {
        let (x, mut y) = (LEFT + slot * number(at) + slot * 0.1, ABOVE + HEIGHT);
        for (index, value) in bar.parts.iter().enumerate() {
            let height = HEIGHT * value / top;
            if height <= 0.0 {
                continue;
            }
            y -= height;
            let name = series.get(index).copied().unwrap_or_default();
            let told = escaped(&format!("{} {name}: {} {unit}", bar.name, short(*value)));
            let (width, colour) = (slot * 0.8, index % COLOURS);
            svg += &format!(
                "<rect class=\"c{colour}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{told}</title></rect>"
            );
        }
        let (x, y) = (x + slot * 0.4, ABOVE + HEIGHT + 16.0);
        svg += &format!("<text class=\"name\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(&bar.name));
    }
    svg + "</svg>"
}

/// The names of the series, with their colours.
pub(crate) fn legend(series: &[&str]) -> String {
    let entry = |(index, name): (usize, &&str)| {
        format!("<span class=\"key\"><i class=\"c{}\"></i>{}</span>", index % COLOURS, escaped(name))
    };
    series.iter().enumerate().map(entry).collect()
}

/// The end of an axis that holds `most`: 1, 2 or 5 of some power of ten; never 0.
fn nice(most: f64) -> f64 {
    if !most.is_finite() || most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|it| it * power).find(|it| *it >= most * 0.999_999).unwrap_or(most)
}

/// A number in few characters.
fn short(value: f64) -> String {
    match value {
        _ if value >= 10_000.0 => format!("{:.0}k", value / 1000.0),
        _ if value >= 10.0 || value == 0.0 => format!("{value:.0}"),
        _ if value >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a plot has few bars")]
fn number(it: usize) -> f64 {
    it as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Bar, bars, legend, nice};

    #[test]
    fn a_bar_stands_on_the_axis_and_is_as_high_as_its_value() {
        let svg = bars("t", "min", &["a", "b"], &[Bar { name: "x".into(), parts: vec![5.0, 0.0, 5.0] }]);
        assert_eq!(svg.matches("<rect").count(), 2, "none for nothing");
        assert!(svg.contains("y=\"102.0\" width=\"531.2\" height=\"90.0\""), "{svg}");
        assert!(svg.contains("y=\"12.0\"") && svg.contains("<title>x a: 5.0 min</title>"), "{svg}");
        assert!(bars("t", "", &[], &[]).ends_with("</svg>"));
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (most, end) in
            [(0.0, 1.0), (f64::NAN, 1.0), (0.03, 0.05), (1.0, 1.0), (7.0, 10.0), (11.0, 20.0), (480.0, 500.0)]
        {
            assert!((nice(most) - end).abs() < 1e-9, "{most}: {}", nice(most));
        }
    }

    #[test]
    fn names_are_escaped_wherever_they_stand() {
        let bad = "</title><script>alert(\"1\")</script>";
        let svg = bars(bad, bad, &[bad], &[Bar { name: bad.into(), parts: vec![1.0] }]) + &legend(&[bad]);
        assert!(!svg.contains("<script") && !svg.contains("alert(\""), "{svg}");
    }

    proptest! {
        #[test]
        fn no_bar_leaves_its_plot(parts in prop::collection::vec(0.0_f64..1e9, 0..20)) {
            let svg = bars("t", "", &[], &[Bar { name: "x".into(), parts }]);
            for part in svg.split("<rect").skip(1) {
                let y: f64 = part.split(" y=\"").nth(1).and_then(|it| it.split('"').next()).unwrap().parse().unwrap();
                prop_assert!((11.9..=192.1).contains(&y), "{y}");
            }
        }
    }
}
