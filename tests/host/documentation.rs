//! Links of the documentation lead somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders that are not the repository's.
const FOREIGN: [&str; 4] = ["target", ".git", "dist", "node_modules"];

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && !FOREIGN.contains(&name.as_str()) {
            pages(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// A page without its blocks of code, in which brackets mean something else.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_fence && !is_code && !line.starts_with("    ")
    };
    text.lines().filter(is_prose).collect::<Vec<_>>().join("\n")
}

/// What the page's links and pictures lead to.
fn links(prose: &str) -> Vec<String> {
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
    let pictures = prose.split("src=\"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(link, _)| link);
    inline.chain(pictures).map(str::to_owned).collect()
}

/// The anchors of a page's headings, as GitHub and mdbook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let is_prose = |line: &&str| {
        is_code ^= line.trim_start().starts_with("```");
        !is_code
    };
    let headings =
        text.lines().filter(is_prose).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let letter = |letter: char| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then(|| letter.to_ascii_lowercase()),
    };
    headings.map(|heading| heading.chars().filter_map(letter).collect()).collect()
}

fn is_of_book(path: &Path) -> bool {
    path.starts_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"))
}

/// What is wrong with a page's links.
fn broken(page: &Path, text: &str) -> Vec<String> {
    let is_broken = |link: &String| {
        if link.contains("://") || link.starts_with("mailto:") {
            return false;
        }
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { page.to_owned() } else { page.parent().unwrap_or(page).join(path) };
        // The pages of the book lead to each other: a built book has nothing else.
        let leaves_book = is_of_book(page) && target.canonicalize().is_ok_and(|target| !is_of_book(&target));
        if leaves_book || !target.exists() {
            return true;
        }
        let has_anchor = || std::fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor));
        !anchor.is_empty() && target.extension().is_some_and(|extension| extension == "md") && !has_anchor()
    };
    links(&prose(text)).into_iter().filter(is_broken).collect()
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    pages(root, &mut found);
    let mut count = 0;
    for page in found {
        let text = std::fs::read_to_string(&page).expect("a page");
        // Pages that rustdoc shows have its links.
        if page.starts_with(root.join("src")) {
            continue;
        }
        count += links(&prose(&text)).len();
        let broken = broken(&page, &text);
        assert!(broken.is_empty(), "{}: {broken:?} lead nowhere", page.display());
    }
    assert!(count > 30, "only {count} links were found");
}

#[test]
fn links_that_lead_nowhere_are_noticed() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text =
        "# A heading\n[a](Cargo.toml) [b](nowhere.md) [c](#a-heading) [d](#none) <img src=\"no.png\">\n```\n[e](code)\n```";
    let of_book = page.with_file_name("docs").join("clips.md");
    assert_eq!(broken(&of_book, "[README](../README.md) [page](networks.md)"), ["../README.md"]);
    assert_eq!(broken(&page, text), ["nowhere.md", "#a-heading", "#none", "no.png"]);
    assert!(anchors("## What it is, and why").contains("what-it-is-and-why"));
}

#[test]
fn the_readme_is_short_and_lines_are_readable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("a page");
    assert!(readme.lines().count() <= 150, "{} lines", readme.lines().count());
    let long =
        |line: &&str| line.chars().count() > 120 && !line.contains("](") && !line.starts_with('|') && !line.contains("http");
    assert_eq!(prose(&readme).lines().filter(long).collect::<Vec<_>>(), Vec::<&str>::new());
}
