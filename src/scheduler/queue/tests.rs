//! The queue, as a table of reports and times.
