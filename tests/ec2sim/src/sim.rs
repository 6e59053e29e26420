//! The simulator: every place, what is due, the rules in force, and the log.

use std::collections::BTreeMap;

use crate::{
    agenda::Agenda,
    clock::Millis,
    config::{Config, OptIn},
    effect::{Effect, Fate, When},
    fault::{Admission, Armed, Fault},
    garble::garble,
    log::{LogEntry, Outcome},
    place::{EMPTY, Key, Place},
    refusal::{Refusal, status},
    replicas::Past,
    request::{Reply, Request},
    throttle::Buckets,
    xml::{self, Xml},
};

/// EC2, in all regions, for all accounts.
#[derive(Clone, Debug)]
pub struct Sim {
    pub(crate) config: Config,
    pub(crate) places: BTreeMap<Key, Place>,
    pub(crate) agenda: Agenda,
    pub(crate) buckets: Buckets,
    pub(crate) past: Past,
    faults: Vec<Armed>,
    log: Vec<LogEntry>,
    now: Millis,
    minted: u64,
}

/// A call on its way through.
pub(crate) struct Call<'a> {
    pub(crate) now: Millis,
    pub(crate) key: Key,
    pub(crate) request: &'a Request,
    pub(crate) effects: &'a [Effect],
}

/// What an accepted call says.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) xml: Xml,
    pub(crate) ids: Vec<String>,
}

impl Answer {
    /// `<return>true</return>`
    pub(crate) fn yes() -> Self {
        let mut answer = Self::default();
        answer.xml.text("return", true);
        answer
    }
}

impl Call<'_> {
    /// Ends a dry run, when everything else was found right.
    pub(crate) fn rehearse(&self) -> Result<(), Refusal> {
        self.request.flag("DryRun")?;
        if self.request.is_dry_run() {
            return Err(Refusal::new(
                "DryRunOperation",
                "Request would have succeeded, but DryRun flag is set.",
            ));
        }
        Ok(())
    }
}

impl Sim {
    /// An empty world.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            places: BTreeMap::new(),
            agenda: Agenda::default(),
            buckets: Buckets::default(),
            past: Past::default(),
            faults: Vec::new(),
            log: Vec::new(),
            now: 0,
            minted: 0,
        }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The settings, to be changed; what is under way keeps its times.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// What an account has in a region, as of the last call.
    pub fn place(&self, account: &str, region: &str) -> Option<&Place> {
        self.places.get(&Key { account: account.to_owned(), region: region.to_owned() })
    }

    /// All places.
    pub fn places(&self) -> &BTreeMap<Key, Place> {
        &self.places
    }

    pub(crate) fn here(&self, call: &Call<'_>) -> &Place {
        self.places.get(&call.key).unwrap_or(&EMPTY)
    }

    pub(crate) fn place_mut(&mut self, key: &Key) -> &mut Place {
        self.places.entry(key.clone()).or_default()
    }

    /// All calls so far.
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    /// The instant of the last call.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// The rules in force.
    pub fn faults(&self) -> &[Armed] {
        &self.faults
    }

    /// Puts a rule in force, as of the last call.
    pub fn add_fault(&mut self, fault: Fault) {
        self.faults.push(Armed::new(fault, self.now));
    }

    /// Lifts all rules.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Lets time pass; it never runs backwards.
    pub fn advance(&mut self, now: Millis) -> Millis {
        // What was changed without a call since.
        self.keep(self.now);
        self.now = self.now.max(now);
        while let Some((at, key, due)) = self.agenda.pop(self.now) {
            self.happen(at, &key, due);
            self.keep(at);
        }
        self.now
    }

    /// When something will happen next by itself.
    pub fn next_due(&self) -> Option<Millis> {
        self.agenda.next()
    }

    /// One call, whole.
    pub fn call(&mut self, now: Millis, account: &str, region: &str, request: &Request) -> Reply {
        let admission = self.admit(now, account, region, request);
        self.carry_out(now, account, region, request, &admission)
    }

    /// Meets a call with the rules in force; it has its effect in [`Sim::carry_out`], after the admission's delay.
    pub fn admit(&mut self, now: Millis, account: &str, region: &str, request: &Request) -> Admission {
        let now = now.max(self.now);
        let meet = |armed: &mut Armed| armed.meet(now, account, region, request);
        let effects = self.faults.iter_mut().filter_map(meet).collect();
        Admission { effects }
    }

    /// Carries out a call that was admitted.
    pub fn carry_out(
        &mut self,
        now: Millis,
        account: &str,
        region: &str,
        request: &Request,
        admission: &Admission,
    ) -> Reply {
        let now = self.advance(now);
        let key = Key { account: account.to_owned(), region: region.to_owned() };
        let request_id = self.request_id();
        let mut reply = Reply { delay: admission.delays(When::After), ..Reply::default() };
        let mut fate = Fate::Answered;
        let mut refusal = None;
        for effect in &admission.effects {
            fate = fate.max(effect.fate());
            if let Some(refused) = Self::befall(effect, &mut reply) {
                refusal = Some(refused);
            }
        }
        let result = if fate == Fate::Dropped {
            Ok(Answer::default())
        } else if let Some(refusal) = refusal {
            Err(refusal)
        } else {
            let result = self.dispatch(&Call { now, key, request, effects: &admission.effects });
            self.keep(now);
            result
        };
        match result {
            Ok(answer) => {
                reply.status = 200;
                reply.ids = answer.ids;
                let inside = garble(answer.xml.into_string(), &admission.effects, self.log_length());
                reply.body = xml::answer(&request.action, &request_id, &inside);
            }
            Err(Refusal { status, code, message }) => {
                reply.status = status;
                reply.body = xml::refusal(&request_id, &code, &message);
                reply.code = Some(code);
            }
        }
        let outcome = match (fate, &reply.code) {
            (Fate::Dropped, _) => Outcome::Dropped,
            (Fate::Lost | Fate::Cut, code) => Outcome::Lost { code: code.clone() },
            (Fate::Answered, Some(code)) => Outcome::Refused { code: code.clone() },
            (Fate::Answered, None) => Outcome::Ok,
        };
        self.note(now, account, region, request, outcome, &reply.ids);
        for effect in &admission.effects {
            if let Effect::ApplyAndRefuse { code, status: answered } = effect {
                reply.status = answered.unwrap_or_else(|| status(code));
                reply.body = xml::refusal(&request_id, code, "Injected by a fault rule.");
                reply.code = Some(code.clone());
            }
        }
        if admission.effects.contains(&Effect::ApplyAndTruncate) {
            reply.body = reply.body.chars().take(reply.body.chars().count() / 2).collect();
        }
        reply.is_closed = fate >= Fate::Lost;
        if reply.is_closed {
            (reply.status, reply.body) = (0, String::new());
        }
        reply
    }

    /// What an effect does beside the call itself, or why it refuses the call.
    fn befall(effect: &Effect, reply: &mut Reply) -> Option<Refusal> {
        match effect {
            Effect::Refuse { code, message, status: own } => {
                let message = if message.is_empty() { "Injected by a fault rule." } else { message };
                return Some(Refusal {
                    status: own.unwrap_or_else(|| status(code)),
                    code: code.clone(),
                    message: message.to_owned(),
                });
            }
            Effect::Kill { pid, .. } => reply.kill = Some(*pid),
            Effect::Freeze { pid, ms } => reply.freeze = Some((*pid, *ms)),
            Effect::Swallow => reply.is_swallowed = true,
            Effect::ApplyAndReset => reply.breaks = true,
            Effect::ApplyAndDrip { ms } => reply.drips = Some(*ms),
            Effect::Date { to } => reply.date = Some(to.clone()),
            Effect::Delay { .. }
            | Effect::Drop
            | Effect::ApplyAndDrop
            | Effect::ApplyAndTruncate
            | Effect::ApplyAndRefuse { .. }
            | Effect::EmptyPage
            | Effect::RepeatPage
            | Effect::Rewrite { .. }
            | Effect::Omit { .. }
            | Effect::ShuffleTags
            | Effect::StickStopping
            | Effect::FailImage { .. }
            | Effect::FailSnapshots { .. }
            | Effect::NoSnapshots => {}
        }
        None
    }

    fn log_length(&self) -> u64 {
        u64::try_from(self.log.len()).unwrap_or(u64::MAX)
    }

    fn note(
        &mut self,
        now: Millis,
        account: &str,
        region: &str,
        request: &Request,
        outcome: Outcome,
        ids: &[String],
    ) {
        let ordinal = self.log_length().saturating_add(1);
        self.log.push(LogEntry {
            ordinal,
            at: now,
            account: account.to_owned(),
            region: region.to_owned(),
            action: request.action.clone(),
            params: request.params.clone(),
            dry_run: request.is_dry_run(),
            access_key: request.access_key.clone(),
            agent: request.agent.clone(),
            outcome,
            ids: ids.to_owned(),
        });
    }

    fn dispatch(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let region = self.config.regions.iter().find(|region| region.name == call.key.region);
        if region.is_none_or(|region| region.opt_in == OptIn::NotOptedIn) {
            return Err(Refusal::new(
                "AuthFailure",
                "AWS was not able to validate the provided access credentials",
            ));
        }
        self.throttle(call)?;
        if let Err(refusal) = self.authorize(call) {
            return Err(self.sealed(&refusal));
        }
        self.by_a_replica(call)
    }

    pub(crate) fn perform(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        match call.request.action.as_str() {
            "DescribeInstances" => self.describe_instances(call),
            "DescribeInstanceStatus" => self.describe_instance_status(call),
            "DescribeInstanceAttribute" => self.describe_instance_attribute(call),
            "DescribeInstanceTypes" => crate::describe::types::describe(call),
            "DescribeImageAttribute" => self.describe_image_attribute(call),
            "DescribeSnapshotAttribute" => self.describe_snapshot_attribute(call),
            "ModifyImageAttribute" => self.modify_image_attribute(call),
            "ModifySnapshotAttribute" => self.modify_snapshot_attribute(call),
            "DisableImage" => self.disable_image(call),
            "EnableImage" => self.enable_image(call),
            "EnableImageDeregistrationProtection" => self.protect_image(call),
            "DisableImageDeregistrationProtection" => self.unprotect_image(call),
            "EnableImageDeprecation" => self.enable_deprecation(call),
            "DisableImageDeprecation" => self.disable_deprecation(call),
            "GetImageBlockPublicAccessState" => self.block_public_access(call),
            "LockSnapshot" => self.lock_snapshot(call),
            "UnlockSnapshot" => self.unlock_snapshot(call),
            "DescribeImages" => self.describe_images(call),
            "DescribeSnapshots" => self.describe_snapshots(call),
            "DescribeVolumes" => self.describe_volumes(call),
            "DescribeRegions" => self.describe_regions(call),
            "DescribeTags" => self.describe_tags(call),
            "DescribeSpotInstanceRequests" => self.describe_spot_requests(call),
            "StopInstances" => self.stop_instances(call),
            "StartInstances" => self.start_instances(call),
            "RebootInstances" => self.reboot_instances(call),
            "TerminateInstances" => self.terminate_instances(call),
            "ModifyInstanceAttribute" => self.modify_instance_attribute(call),
            "CreateImage" => self.create_image(call),
            "CopyImage" => self.copy_image(call),
            "DeregisterImage" => self.deregister_image(call),
            "DeleteSnapshot" => self.delete_snapshot(call),
            "CreateTags" => self.create_tags(call),
            "DeleteTags" => self.delete_tags(call),
            action => Err(Refusal::new(
                "InvalidAction",
                format!("The action {action} is not valid for this web service."),
            )),
        }
    }

    /// 64 bits that depend on the seed and on how many were drawn before (`SplitMix64`).
    pub(crate) fn draw(&mut self) -> u64 {
        self.minted += 1;
        let mut bits = self.config.seed.wrapping_add(self.minted.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A new id: 17 hexadecimal digits, the first of them 0, as EC2's.
    pub(crate) fn mint(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{:016x}", self.draw())
    }

    /// An address out of a range that is for documentation (RFC 5737).
    pub(crate) fn mint_address(&mut self) -> String {
        let drawn = self.draw();
        format!("{}.{}", if drawn & 256 == 0 { "203.0.113" } else { "198.51.100" }, drawn & 255)
    }

    fn request_id(&mut self) -> String {
        let digits = format!("{:016x}{:016x}", self.draw(), self.draw());
        let mut groups = digits.chars();
        [8, 4, 4, 4, 12].map(|length| groups.by_ref().take(length).collect::<String>()).join("-")
    }
}
