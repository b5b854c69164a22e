//! The facts as fields with stable names, for machines.

use std::time::Duration;

use crate::drain::ask::{Budget, PodRef};
use crate::drain::progress::Progress;
use crate::drain::timing;
use crate::drain::verdict::Row;
use crate::notice::NoticeId;
use crate::report::fact::Fact;

/// What a fact is about, as far as it says.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    /// Which notice.
    pub(super) notice: Option<&'a NoticeId>,
    /// It is about the drain under way, whichever notice that is for.
    pub(super) is_of_drain: bool,
    /// Which pod.
    pub(super) pod: Option<&'a PodRef>,
    /// What became of the pod.
    pub(super) outcome: Option<&'static str>,
    /// Which budget stood in the way.
    pub(super) budget: Option<&'a Budget>,
    /// The length of time that is spoken of.
    pub(super) seconds: Option<Duration>,
}

impl<'a> Fields<'a> {
    /// Those of a row of the table of verdicts.
    pub(super) fn of_row(row: &'a Row) -> Self {
        Self {
            is_of_drain: true,
            pod: Some(&row.pod),
            outcome: Some(row.outcome.name()),
            budget: row.outcome.budget(),
            seconds: row.gone_after,
            ..Self::default()
        }
    }

    fn of_notice(notice: &'a NoticeId, seconds: Option<Duration>) -> Self {
        Self { notice: Some(notice), seconds, ..Self::default() }
    }

    fn of_drain(seconds: Option<Duration>) -> Self {
        Self { is_of_drain: true, seconds, ..Self::default() }
    }

    fn of_progress(progress: &'a Progress) -> Self {
        let (pod, budget, seconds) = match progress {
            Progress::Blocked { pod, budget, deleted_in } => (pod, Some(budget), *deleted_in),
            Progress::Deleted { pod, obstacle, grace } => {
                let budget = obstacle.budget();
                return Self {
                    pod: Some(pod),
                    budget,
                    ..Self::of_drain(grace.map(timing::seconds))
                };
            }
            Progress::WouldBlock(pod, budget) => (pod, Some(budget), None),
            Progress::Evicted { pod, grace, .. } | Progress::Shortened { pod, grace } => {
                (pod, None, Some(timing::seconds(*grace)))
            }
            Progress::Gone { pod, after } => (pod, None, Some(*after)),
            Progress::LeftAlone(pod, _)
            | Progress::Late(pod)
            | Progress::WouldEvict(pod)
            | Progress::Returned { pod, .. }
            | Progress::NotMarked { pod, .. } => (pod, None, None),
            Progress::NamespaceTerminating { pod, deleted_in }
            | Progress::Forbidden { pod, deleted_in, .. }
            | Progress::Failing { pod, deleted_in, .. } => (pod, None, *deleted_in),
            Progress::Listed { .. }
            | Progress::Recovered { .. }
            | Progress::Unread { .. }
            | Progress::WatchLost { .. } => return Self::of_drain(None),
        };
        let budget = budget.map(AsRef::as_ref);
        Self { pod: Some(pod), budget, ..Self::of_drain(seconds) }
    }
}

impl Fact {
    /// What it is about.
    pub(super) fn fields(&self) -> Fields<'_> {
        match self {
            Self::NoticeSeen { notice, left, .. } | Self::TakenOver { notice, left, .. } => {
                Fields::of_notice(&notice.id, Some(*left))
            }
            Self::NoticeScheduled { notice, ahead, .. } => {
                Fields::of_notice(&notice.id, Some(*ahead))
            }
            Self::NoticeMarks { notice, .. } | Self::NoticeBeside { notice, .. } => {
                Fields::of_notice(&notice.id, None)
            }
            Self::NoticeWithdrawn(id, _)
            | Self::StaysWithdrawn(id)
            | Self::MarksExpired(id)
            | Self::DrainedBefore(id) => Fields::of_notice(id, None),
            Self::Drain(progress) => Fields::of_progress(progress),
            Self::Verdict(_, verdict) => Fields::of_drain(Some(verdict.took)),
            Self::DeadlineMoved { left, .. } | Self::EndsAfterDrain(left) => {
                Fields::of_drain(Some(*left))
            }
            Self::DrainBegins(_) | Self::DeadlineReached | Self::EndsDrained => {
                Fields::of_drain(None)
            }
            Self::MarksLast(left) => Fields { seconds: Some(*left), ..Fields::default() },
            _ => Fields::default(),
        }
    }

    /// A stable name for what is said.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Remark(_) => "remark",
            Self::SettingUnusable(_) => "setting_unusable",
            Self::CredentialsMissing(_) => "credentials_missing",
            Self::CredentialsFound => "credentials_found",
            Self::NodeUnknown(_) => "node_unknown",
            Self::NodeFound(_) => "node_found",
            Self::ActsAs(_) => "acts_as",
            Self::WithoutToken(_) => "metadata_without_token",
            Self::Polled { .. } => "polled",
            Self::MetadataFailing(..) => "metadata_failing",
            Self::MetadataRecovered(..) => "metadata_recovered",
            Self::NoticeSeen { .. } => "notice",
            Self::NoticeScheduled { .. } => "notice_scheduled",
            Self::NoticeMarks { .. } => "notice_marks",
            Self::NoticeBeside { .. } => "notice_beside",
            Self::DrainBegins(_) => "drain_begins",
            Self::DeadlineMoved { .. } => "deadline_moved",
            Self::TakenOver { .. } => "taken_over",
            Self::NoticeWithdrawn(..) => "notice_withdrawn",
            Self::StaysWithdrawn(_) => "notice_stays_withdrawn",
            Self::MarksLast(_) => "marks_last",
            Self::MarksExpired(_) => "marks_expired",
            Self::DrainedBefore(_) => "drained_before",
            Self::MarksFound { .. } => "marks_found",
            Self::MarksUnreadable => "marks_unreadable",
            Self::Marks { .. } => "marks",
            Self::NodeFailing(..) => "node_failing",
            Self::NodeRecovered(_) => "node_recovered",
            Self::NodeMissing { .. } => "node_missing",
            Self::NodeThere(_) => "node_there",
            Self::TaintForbidden(_) => "taint_forbidden",
            Self::Drain(progress) => progress_name(progress),
            Self::Verdict(..) => "verdict",
            Self::DeadlineReached => "deadline_reached",
            Self::Ends { .. } | Self::EndsDrained => "ends",
            Self::EndsAfterDrain(_) => "ends_after_drain",
            Self::Listens { .. } => "listens",
            Self::NotListening { .. } => "not_listening",
            Self::ListensAgain { .. } => "listens_again",
            Self::ThreadMissing(..) => "thread_missing",
            Self::ThreadStarted(_) => "thread_started",
            Self::ReportUnready { .. } => "report_unready",
            Self::ReportReady(_) => "report_ready",
            Self::ReportSent(_) => "report_sent",
            Self::ReportFailing(..) => "report_failing",
            Self::ReportRecovered(..) => "report_recovered",
            Self::ReportRetried(_) => "report_retried",
            Self::ReportRefused { .. } => "report_refused",
            Self::ReportLost { .. } => "report_lost",
        }
    }
}

fn progress_name(progress: &Progress) -> &'static str {
    match progress {
        Progress::Listed { .. } => "pods_listed",
        Progress::LeftAlone(..) => "pod_left_alone",
        Progress::Late(_) => "pod_late",
        Progress::Returned { .. } => "pod_returned",
        Progress::Evicted { .. } => "pod_evicted",
        Progress::Blocked { .. } => "pod_blocked",
        Progress::Deleted { .. } => "pod_deleted",
        Progress::NotMarked { .. } => "pod_not_marked",
        Progress::Shortened { .. } => "pod_shortened",
        Progress::Gone { .. } => "pod_gone",
        Progress::WouldEvict(_) => "pod_would_be_evicted",
        Progress::WouldBlock(..) => "pod_would_be_refused",
        Progress::NamespaceTerminating { .. } => "namespace_terminating",
        Progress::Forbidden { .. } => "forbidden",
        Progress::Failing { .. } => "requests_failing",
        Progress::Recovered { .. } => "requests_recovered",
        Progress::Unread { .. } => "pod_unread",
        Progress::WatchLost { .. } => "watch_lost",
    }
}

#[cfg(test)]
mod tests {
    /// Said where there is no log.
    const ALONE: [&str; 3] = ["bad_setting", "not_started", "panicked"];

    /// What stands in the page of reports is looked up there by its name.
    #[test]
    fn every_name_is_explained() {
        let page = include_str!("../../docs/reports.md");
        let own = include_str!("fields.rs").split("#[cfg(test)]").next().unwrap();
        let names = own.lines().filter_map(|line| line.split_once("=> \"")?.1.split_once('"'));
        let names: Vec<_> = names.map(|(name, _)| name).collect();
        assert!(names.len() > 50, "{names:?}");
        for name in names.into_iter().chain(["pod_verdict", "log_lost"]).chain(ALONE) {
            assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/reports.md");
        }
    }
}
