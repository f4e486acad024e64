//! SVG, as far as plots need it: shapes, text, and patterns that are seen without colour.

use std::fmt::{Display, Write as _};

/// Okabe and Ito's palette, which the colour-blind can tell apart ("Color Universal Design", 2008), without its yellow, which
/// does not print.
pub const PALETTE: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];

/// The colour of axes and text.
pub const INK: &str = "#222222";

/// The colour of grid lines.
pub const GRID: &str = "#DDDDDD";

/// A drawing.
#[derive(Clone, Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Where text is anchored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// A number with at most two decimals, without trailing zeros.
pub struct Num(pub f64);

impl Display for Num {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.2}", self.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Svg {
    /// An empty drawing.
    #[must_use]
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    /// A line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64, dash: &str) {
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        self.push(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{colour}\" stroke-width=\"{}\"{dash}/>",
            Num(from.0),
            Num(from.1),
            Num(to.0),
            Num(to.1),
            Num(width)
        ));
    }

    /// A line through many points.
    pub fn polyline(&mut self, points: &[(f64, f64)], colour: &str, width: f64, dash: &str) {
        if points.len() < 2 {
            return;
        }
        let mut list = String::with_capacity(points.len() * 12);
        for (x, y) in points {
            let _ = write!(list, "{},{} ", Num(*x), Num(*y));
        }
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        self.push(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{}\" stroke-linejoin=\"round\"{dash}/>",
            list.trim_end(),
            Num(width)
        ));
    }

    /// A rectangle.
    pub fn rect(&mut self, at: (f64, f64), size: (f64, f64), fill: &str, stroke: &str) {
        self.push(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\" stroke=\"{stroke}\"/>",
            Num(at.0),
            Num(at.1),
            Num(size.0.max(0.0)),
            Num(size.1.max(0.0))
        ));
    }

    /// A closed shape.
    pub fn polygon(&mut self, points: &[(f64, f64)], fill: &str, stroke: &str, width: f64) {
        let mut list = String::new();
        for (x, y) in points {
            let _ = write!(list, "{},{} ", Num(*x), Num(*y));
        }
        self.push(format_args!(
            "<polygon points=\"{}\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{}\"/>",
            list.trim_end(),
            Num(width)
        ));
    }

    /// A circle.
    pub fn circle(&mut self, at: (f64, f64), radius: f64, fill: &str, stroke: &str, width: f64) {
        self.push(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{}\"/>",
            Num(at.0),
            Num(at.1),
            Num(radius),
            Num(width)
        ));
    }

    /// Text.
    pub fn text(&mut self, at: (f64, f64), anchor: Anchor, size: f64, text: &str) {
        let anchor = anchor_name(anchor);
        self.push(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\" font-size=\"{}\" fill=\"{INK}\">{}</text>",
            Num(at.0),
            Num(at.1),
            Num(size),
            escape(text)
        ));
    }

    /// Text that runs upwards.
    pub fn text_up(&mut self, at: (f64, f64), size: f64, text: &str) {
        let (x, y) = (Num(at.0), Num(at.1));
        self.push(format_args!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" font-size=\"{}\" fill=\"{INK}\" transform=\"rotate(-90 {x} {y})\">{}</text>",
            Num(size),
            escape(text)
        ));
    }

    /// A hatched rectangle: seen in black and white, and what is drawn over it stays readable.
    pub fn hatched(&mut self, at: (f64, f64), size: (f64, f64)) {
        self.rect(at, size, "url(#hatch)", "none");
    }

    /// The whole drawing, with its title for screen readers.
    #[must_use]
    pub fn finish(self, title: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" \
             font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n<title>{}</title>\n\
             <defs><pattern id=\"hatch\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <rect width=\"8\" height=\"8\" fill=\"#F4F4F4\"/><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"8\" stroke=\"#CFCFCF\" stroke-width=\"2\"/>\
             </pattern></defs>\n<rect width=\"{w}\" height=\"{h}\" fill=\"#FFFFFF\"/>\n{}</svg>\n",
            escape(title),
            self.body,
            w = Num(self.width),
            h = Num(self.height),
        )
    }
}

const fn anchor_name(anchor: Anchor) -> &'static str {
    match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    }
}

/// Text as it may stand in SVG and HTML.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_numbers_are_short() {
        let mut svg = Svg::new(100.0, 50.0);
        svg.text((1.0, 2.5), Anchor::Middle, 10.0, "a < b & \"c\"");
        let text = svg.finish("<t>");
        assert!(
            text.contains("a &lt; b &amp; &quot;c&quot;") && text.contains("y=\"2.5\"") && text.contains("&lt;t&gt;")
        );
        assert_eq!(Num(1.0 / 3.0).to_string(), "0.33");
        assert_eq!(Num(100.0).to_string(), "100");
    }
}
