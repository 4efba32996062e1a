//! Lists names below a folder in byte order, from any name on, without reading what lies before it.

use std::io;
use std::path::Path;

/// At most `limit` names below `folder` (which ends in `/`, relative to `root`) after the full name `after`.
pub(super) fn list(root: &Path, folder: &str, after: Option<&str>, limit: usize) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    descend(root, folder, after, limit, &mut names)?;
    Ok(names)
}

/// Goes as deep as the layout does: four folders.
fn descend(root: &Path, folder: &str, after: Option<&str>, limit: usize, names: &mut Vec<String>) -> io::Result<()> {
    for entry in entries(&root.join(folder))? {
        if names.len() >= limit {
            return Ok(());
        }
        let name = format!("{folder}{entry}");
        let is_before = after.is_some_and(|after| name.as_str() <= after);
        if entry.ends_with('/') {
            // A folder lies before `after` only when `after` is not inside it.
            if !is_before || after.is_some_and(|after| after.starts_with(&name)) {
                descend(root, &name, after, limit, names)?;
            }
        } else if !is_before {
            names.push(name);
        }
    }
    Ok(())
}

/// Files, and folders with a `/` at their end, as they sort in full names. What begins with a dot is not ours: network
/// file systems and backups leave such files.
fn entries(path: &Path) -> io::Result<Vec<String>> {
    let read = match std::fs::read_dir(path) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for entry in read {
        let entry = entry?;
        let Ok(mut name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            name.push('/');
        }
        entries.push(name);
    }
    entries.sort_unstable();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]
        #[test]
        fn any_walk_in_parts_is_the_sorted_list_of_all_names(
            names in prop::collection::btree_set("[ab-]/[ab-]{1,2}/[ab]{1,2}[.]x", 0..20),
            limit in 1_usize..5,
        ) {
            let root = tempfile::tempdir().unwrap();
            let names: Vec<String> = names.into_iter().map(|name| format!("f/{name}")).collect();
            for name in &names {
                let path = root.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            std::fs::write(root.path().join("f.stranger"), "").unwrap();
            let mut found: Vec<String> = Vec::new();
            loop {
                let part = list(root.path(), "f/", found.last().map(String::as_str), limit).unwrap();
                prop_assert!(part.len() <= limit);
                found.extend(part.iter().cloned());
                if part.len() < limit {
                    break;
                }
            }
            prop_assert_eq!(found, names);
        }
    }
}
