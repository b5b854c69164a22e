//! The pods at the API server, as far as the handler's tests need them: an eviction is accepted
//! unless a budget covers the pod, and then from one moment on, if at all.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Answer, Ask, Budget, Job, PodRef};
use crate::drain::pod::{Pod, Terminating};
use crate::drain::tests::cluster::{Life, secs};
use crate::moment::Moment;

/// All pods that are or will be on the node.
#[derive(Debug)]
pub(super) struct Pods {
    lives: Vec<Life>,
    objects: Vec<Object>,
    budgets_free: Option<Moment>,
}

#[derive(Clone, Debug, Default)]
struct Object {
    there: bool,
    terminating: Option<Terminating>,
    /// When the kubelet will be done with it.
    ends: Option<Moment>,
}

/// What became of a pod.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    pub(super) life: Life,
    /// The least grace that it was given, if it was told to end.
    pub(super) grace: Option<u32>,
    /// When it had ended.
    pub(super) ended: Option<Moment>,
}

impl Pods {
    pub(super) fn new(lives: &[Life], budgets_free: Option<Duration>) -> Self {
        let objects = vec![Object::default(); lives.len()];
        Self { lives: lives.to_vec(), objects, budgets_free: budgets_free.map(Moment::at) }
    }

    /// What has become of each until now.
    pub(super) fn fates(&self) -> Vec<Fate> {
        let fate = |(life, object): (&Life, &Object)| Fate {
            life: life.clone(),
            grace: object.terminating.map(|it| it.grace),
            ended: object.ends.filter(|_| !object.there),
        };
        self.lives.iter().zip(&self.objects).map(fate).collect()
    }

    /// Those that are there.
    pub(super) fn list(&self) -> Vec<Pod> {
        let there = (0..self.lives.len()).filter(|index| self.objects[*index].there);
        there.map(|index| self.described(index)).collect()
    }

    pub(super) fn arrives(&mut self, index: usize) -> Pod {
        self.objects[index].there = true;
        self.described(index)
    }

    pub(super) fn ask(&mut self, now: Moment, job: &Job) -> Answer {
        let Some(index) = self.find(&job.pod).filter(|index| self.objects[*index].there) else {
            return Answer::Gone;
        };
        match job.ask {
            Ask::Evict { dry, .. } => {
                let is_free = self.budgets_free.is_some_and(|free| free <= now);
                let is_covered = self.lives[index].budget.is_some() && !is_free;
                if is_covered && self.objects[index].ends.is_none() {
                    let namespace = job.pod.namespace.clone();
                    return Answer::Blocked(Budget { namespace, name: "pdb".to_owned() });
                }
                if dry {
                    return Answer::Accepted;
                }
            }
            Ask::MarkDisrupted => return Answer::Accepted,
            Ask::Delete { .. } => {}
        }
        if let Ask::Evict { grace, .. } | Ask::Delete { grace } = job.ask {
            self.terminate(now, index, grace.get());
        }
        Answer::Accepted
    }

    /// When this pod will have ended, if it was told to, and how it is described until then.
    pub(super) fn ending(&self, pod: &PodRef) -> Option<(usize, Moment, Pod)> {
        let index = self.find(pod)?;
        let object = self.objects.get(index).filter(|object| object.there)?;
        object.ends.map(|ends| (index, ends, self.described(index)))
    }

    /// The kubelet is done with it, unless it was hurried and that has come before.
    pub(super) fn ends(&mut self, now: Moment, index: usize) -> Option<Arc<PodRef>> {
        let object = &mut self.objects[index];
        let due = object.there && object.ends.is_some_and(|ends| ends <= now);
        object.there &= !due;
        due.then(|| self.lives[index].pod.reference.clone())
    }

    fn find(&self, pod: &PodRef) -> Option<usize> {
        self.lives.iter().position(|life| *life.pod.reference == *pod)
    }

    fn terminate(&mut self, now: Moment, index: usize, grace: u32) {
        let takes = self.lives[index].takes.min(secs(grace.into()));
        let object = &mut self.objects[index];
        if object.terminating.is_none_or(|before| grace < before.grace) {
            object.terminating = Some(Terminating { grace, ends: now + secs(grace.into()) });
            object.ends = Some(object.ends.map_or(now + takes, |ends| ends.min(now + takes)));
        }
    }

    fn described(&self, index: usize) -> Pod {
        Pod { terminating: self.objects[index].terminating, ..self.lives[index].pod.clone() }
    }
}
