//! Titles of GitHub runs and GitLab pipelines.

/// `project · workflow: trigger (branch)`, as far as known.
pub(super) fn title(
    project: Option<String>,
    workflow: Option<String>,
    about: Option<String>,
    branch: Option<String>,
) -> String {
    let about = about.filter(|about| workflow.as_ref() != Some(about));
    let job: Vec<String> = [workflow, about].into_iter().flatten().collect();
    let named: Vec<String> = [project, Some(job.join(": "))]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    let branch = branch
        .map(|branch| format!(" ({branch})"))
        .unwrap_or_default();
    named.join(" · ") + &branch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_joins_the_known_parts() {
        let title = |parts: [&str; 4]| {
            let [project, workflow, about, branch] =
                parts.map(|part| Some(part.to_owned()).filter(|part| !part.is_empty()));
            title(project, workflow, about, branch)
        };
        assert_eq!(
            title(["acme/studio", "CI", "Fix it", "main"]),
            "acme/studio · CI: Fix it (main)"
        );
        assert_eq!(title(["acme/studio", "CI", "CI", ""]), "acme/studio · CI");
        assert_eq!(title(["", "CI", "", "main"]), "CI (main)");
        assert_eq!(title(["acme/studio", "", "", ""]), "acme/studio");
    }
}
