//! The page in a browser: what `sendoff top` shows. Three files of ours and nothing from elsewhere; the script asks
//! `/overview.json` again and again, and puts what it gets in as text, never as markup.

/// Path, media type and text of each file.
pub(super) const PAGE: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
];
