//! EC2, which has no more than it is given, and remembers what it answered.

use dayfly_contract::names;

use super::{Fault, Port, STALE, World};
use crate::{
    clock::Millis,
    compute::{Compute, LaunchError, Launched, PowerError, Shortfall, TerminateError, instances::Seen},
    decide::{
        errors::{Class, TOKEN_MISMATCH},
        launch::LaunchRequest,
        offers::{Kind, Offer, Pool},
        reconcile::deaths::AtEc2,
    },
    ledger::Write,
};

impl World {
    /// An instance is gone.
    pub fn end(&self, id: &str) {
        if self.dead.borrow_mut().insert(id.to_owned()) {
            self.census.ended_at.borrow_mut().insert(id.to_owned(), self.now.get());
            self.asleep.borrow_mut().remove(id);
        }
    }

    fn is_recent(&self, at: Millis) -> bool {
        self.stale.get() && at + STALE > self.now.get()
    }

    /// Whether EC2 does not tell of it yet.
    pub(super) fn is_new(&self, id: &str) -> bool {
        self.census.instances.borrow().get(id).is_some_and(|it| self.is_recent(it.launched_at))
    }

    /// Whether it has ended and EC2 tells of it still.
    pub(super) fn lingers(&self, id: &str) -> bool {
        self.census.ended_at.borrow().get(id).is_some_and(|at| self.is_recent(*at))
    }

    /// When each breaker was opened.
    pub(super) fn note_opened(&self, write: &Write) {
        let Write::PutOffers(it) = write else { return };
        let mut opened = self.opened.borrow_mut();
        opened.retain(|(fleet, key), _| *fleet != it.fleet || it.breakers.0.contains_key(key));
        for (key, breaker) in &it.breakers.0 {
            let known = opened.entry((it.fleet.clone(), key.clone())).or_default();
            if known.1 != breaker.until {
                *known = (self.now.get(), breaker.until);
            }
        }
    }

    /// EC2's answer to a request that it has not had before.
    fn give(&self, request: &LaunchRequest, fleet: &str, count: usize) -> Launched {
        let now = self.now.get();
        let reserved = self.ledger.borrow().view(fleet).reservations;
        let reserved_at = reserved.iter().find(|it| it.token() == request.token).map_or(now, |it| it.created_at);
        let is_dry = |offer: &&Offer| self.dry.borrow().get(&offer.key(request.market)).is_some_and(|it| *it > now);
        for key in request.offers.iter().map(|offer| offer.key(request.market)) {
            // The look that reserved may have been a little before.
            let open = self.opened.borrow().get(&(fleet.to_owned(), key.clone())).copied();
            if open.is_some_and(|(at, until)| at + 5000 < reserved_at && until > now) {
                self.forbidden.borrow_mut().push(format!("{key} was asked for though its breaker was open"));
            }
        }
        let pool = |offer: &Offer| {
            let instance_type = match &offer.kind {
                Kind::Type(name) => name.clone(),
                Kind::Fitting(_) => "c7i.large".to_owned(),
            };
            Pool { subnet: offer.subnet.clone(), instance_type: Some(instance_type) }
        };
        let shortfall = |offer: &Offer| Shortfall {
            class: Class::Capacity,
            code: "InsufficientInstanceCapacity".into(),
            reason: format!("InsufficientInstanceCapacity: no {}", offer.key(request.market)),
            pool: Some(pool(offer)),
            zone: Some("eu-west-1a".into()),
        };
        let shortfalls = request.offers.iter().filter(is_dry).map(shortfall).collect();
        let Some(from) = request.offers.iter().find(|offer| !is_dry(offer)) else {
            return Launched { shortfalls, ..Launched::default() };
        };
        let tagged = request.tags.iter().find(|(key, _)| key == names::TAG_RESERVATION);
        let tag = tagged.map_or_else(|| request.token.clone(), |(_, value)| value.clone());
        let instances: Vec<String> = (0..count).map(|_| format!("i-{:017x}", self.below(u64::MAX >> 12))).collect();
        for id in &instances {
            let (id, fleet, reservation) = (id.clone(), fleet.to_owned(), tag.clone());
            let seen = Seen { id: id.clone(), fleet, reservation, state: AtEc2::Running, launched_at: now };
            self.census.instances.borrow_mut().insert(id, seen);
        }
        self.born.borrow_mut().extend(instances.iter().map(|id| (id.clone(), fleet.to_owned())));
        self.launched.borrow_mut().entry(tag).or_default().extend(instances.iter().cloned());
        let types = instances.iter().map(|id| (id.clone(), "c7i.large".to_owned())).collect();
        Launched { instances, types, pools: vec![pool(from)], shortfalls }
    }
}

impl Compute for Port {
    async fn launch(&self, request: &LaunchRequest) -> Result<Launched, LaunchError> {
        let fault = self.0.call("compute.launch").await;
        let failed = |class, code: &str| {
            let source = "a fault".into();
            Err(LaunchError { token: request.token.clone(), class, code: Some(code.to_owned()), source })
        };
        let is_known = self.0.answers.borrow().contains_key(&request.token);
        let (count, more) = match fault {
            // What EC2 has launched under this token it answers again, whatever it has now.
            Some(Fault::Ec2(Class::Capacity, _)) if is_known => (0, Vec::new()),
            Some(Fault::Ec2(class, code)) => return failed(class, code),
            Some(Fault::Short(count, class)) => {
                let (code, reason) = ("Short".into(), "Short: short".into());
                (count, vec![Shortfall { class, code, reason, pool: None, zone: None }])
            }
            Some(Fault::Fewer(count)) => (count, Vec::new()),
            _ => (request.count as usize, Vec::new()),
        };
        let known = self.0.answers.borrow().get(&request.token).cloned();
        let launched = match known {
            Some((first, _)) if first != *request => return failed(Class::Permanent, TOKEN_MISMATCH),
            Some((_, answer)) => answer,
            None => {
                let fleet = request.tags.iter().find(|(key, _)| key == "dayfly:fleet").unwrap().1.clone();
                let mut answer = self.0.give(request, &fleet, count);
                answer.shortfalls.extend(more);
                self.0.note(format_args!(
                    "EC2: launches {} of {} for reservation {}: {}",
                    answer.instances.len(),
                    request.count,
                    request.token,
                    answer.instances.join(", ")
                ));
                self.0.answers.borrow_mut().insert(request.token.clone(), (request.clone(), answer.clone()));
                answer
            }
        };
        self.0.answered().await;
        if matches!(fault, Some(Fault::Lost)) {
            return failed(Class::Transient, "RequestTimeout");
        }
        Ok(launched)
    }

    async fn find(&self, id: &str) -> Result<Vec<String>, LaunchError> {
        if self.0.call("compute.find").await.is_some() {
            let (token, code) = (id.to_owned(), Some("RequestLimitExceeded".to_owned()));
            return Err(LaunchError { token, class: Class::Transient, code, source: "a fault".into() });
        }
        let all = self.0.launched.borrow().get(id).cloned().unwrap_or_default();
        let is_listed = |id: &String| !self.0.dead.borrow().contains(id) && !self.0.is_new(id);
        Ok(all.into_iter().filter(is_listed).collect())
    }

    async fn terminate(&self, instances: &[String]) -> Result<(), TerminateError> {
        if self.0.call("compute.terminate").await.is_some() {
            return Err(TerminateError { instances: instances.to_vec(), source: "a fault".into() });
        }
        self.0.note(format_args!("EC2: ends {}, as control asks", instances.join(", ")));
        self.0.terminated.borrow_mut().extend(instances.iter().cloned());
        for id in instances {
            self.0.end(id);
        }
        self.0.answered().await;
        Ok(())
    }

    async fn stop(&self, instances: &[String]) -> Result<(), PowerError> {
        let fault = self.0.call("compute.stop").await;
        let gone = instances.iter().any(|it| self.0.dead.borrow().contains(it));
        switchable("stopping", instances, fault.as_ref(), gone)?;
        self.0.note(format_args!("EC2: stops {}, as control asks", instances.join(", ")));
        for id in instances {
            let at = self.0.now.get() + 1000 + self.0.below(60_000);
            // One that stops, or is stopped, does so no sooner for being asked again.
            self.0.asleep.borrow_mut().entry(id.clone()).or_insert(at);
            self.0.switched.borrow_mut().push((id.clone(), false));
        }
        self.0.answered().await;
        lost("stopping", instances, fault.as_ref())
    }

    async fn start(&self, instance: &str) -> Result<(), PowerError> {
        let fault = self.0.call("compute.start").await;
        let ids = [instance.to_owned()];
        // Nor is one that has still to come to its stop.
        let stops = self.0.asleep.borrow().get(instance).is_some_and(|at| *at > self.0.now.get());
        let gone = self.0.dead.borrow().contains(instance);
        if stops && !gone {
            self.0.forbidden.borrow_mut().push(format!("{instance} was asked to start while it comes to its stop"));
        }
        switchable("starting", &ids, fault.as_ref(), gone || stops)?;
        // To start what runs is no error, and does nothing.
        if self.0.asleep.borrow_mut().remove(instance).is_some() {
            self.0.note(format_args!("EC2: starts {instance}, as control asks"));
            self.0.switched.borrow_mut().push((instance.to_owned(), true));
        }
        self.0.answered().await;
        lost("starting", &ids, fault.as_ref())
    }
}

/// EC2's refusal, where an instance is `unfit` or a fault was asked for.
fn switchable(doing: &'static str, instances: &[String], fault: Option<&Fault>, unfit: bool) -> Result<(), PowerError> {
    let (class, code) = match fault {
        Some(Fault::Ec2(class, code)) => (*class, *code),
        None | Some(Fault::Lost) if unfit => (Class::Capacity, "IncorrectInstanceState"),
        None | Some(Fault::Lost) => return Ok(()),
        Some(_) => (Class::Transient, "RequestLimitExceeded"),
    };
    Err(refused(doing, instances, class, code))
}

/// Its answer, where that is lost.
fn lost(doing: &'static str, instances: &[String], fault: Option<&Fault>) -> Result<(), PowerError> {
    let is_lost = matches!(fault, Some(Fault::Lost));
    if is_lost { Err(refused(doing, instances, Class::Transient, "RequestTimeout")) } else { Ok(()) }
}

fn refused(doing: &'static str, instances: &[String], class: Class, code: &str) -> PowerError {
    let (instances, code) = (instances.to_vec(), Some(code.to_owned()));
    PowerError { doing, instances, class, code, source: "a fault".into() }
}
