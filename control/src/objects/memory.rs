//! A bucket in memory, for tests: whole writes, conditions, uploads that come to be when they are completed. It can be
//! told to fail, and to be gone from one call on, as a process is that was killed.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use super::{If, Listed, Objects, ObjectsError, Text, Upload, Written};
use crate::{clock::Millis, report::Failure};

#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryObjects(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: RefCell<BTreeMap<String, Object>>,
    /// Uploads that were neither completed nor aborted, by their keys.
    open: RefCell<Vec<String>>,
    now: Cell<Millis>,
    calls: RefCell<Vec<String>>,
    life: RefCell<Rc<Life>>,
    /// Calls that begin like this fail.
    fails: RefCell<Option<String>>,
    /// Bytes of the largest part.
    largest_part: Cell<usize>,
}

/// Counts calls, and ends at one of them.
#[derive(Debug, Default)]
pub(crate) struct Life {
    calls: Cell<usize>,
    ends_at: Cell<Option<usize>>,
}

impl Life {
    /// From call number `calls` (from 0, as of now) on it is over.
    pub(crate) fn end_at(&self, calls: Option<usize>) {
        self.calls.set(0);
        self.ends_at.set(calls);
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.get()
    }

    /// Counts a call; whether it is over by now.
    pub(crate) fn is_over(&self) -> bool {
        let call = self.calls.get();
        self.calls.set(call + 1);
        self.ends_at.get().is_some_and(|end| call >= end)
    }
}

#[derive(Clone, Debug)]
struct Object {
    bytes: Vec<u8>,
    modified_at: Millis,
}

#[derive(Debug)]
pub(crate) struct MemoryUpload {
    to: MemoryObjects,
    key: String,
    bytes: Vec<u8>,
}

impl MemoryObjects {
    pub(crate) fn set_now(&self, now: Millis) {
        self.0.now.set(now);
    }

    /// From its call number `calls` (from 0) on it does nothing, as for a process that is dead.
    pub(crate) fn die_at(&self, calls: Option<usize>) {
        self.0.calls.borrow_mut().clear();
        self.0.life.borrow().end_at(calls);
    }

    /// Ends with others.
    pub(crate) fn live(&self, life: &Rc<Life>) {
        *self.0.life.borrow_mut() = Rc::clone(life);
    }

    pub(crate) fn fail(&self, calls: Option<&str>) {
        *self.0.fails.borrow_mut() = calls.map(str::to_owned);
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.calls.borrow().clone()
    }

    pub(crate) fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let object = Object { bytes: bytes.into(), modified_at: self.0.now.get() };
        self.0.objects.borrow_mut().insert(key.to_owned(), object);
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.0.objects.borrow().get(key).map(|it| it.bytes.clone())
    }

    pub(crate) fn remove(&self, key: &str) {
        self.0.objects.borrow_mut().remove(key);
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.objects.borrow().keys().cloned().collect()
    }

    pub(crate) fn open_uploads(&self) -> Vec<String> {
        self.0.open.borrow().clone()
    }

    pub(crate) fn largest_part(&self) -> usize {
        self.0.largest_part.get()
    }

    fn call(&self, what: &str, key: &str) -> Result<(), ObjectsError> {
        let call = format!("{what} {key}");
        let mut calls = self.0.calls.borrow_mut();
        calls.push(call.clone());
        let dead = self.0.life.borrow().is_over();
        let fails = self.0.fails.borrow().as_ref().is_some_and(|it| call.starts_with(it));
        if dead || fails { Err(ObjectsError(Failure::new(call, "told to"))) } else { Ok(()) }
    }

    fn closed(&self, key: &str) {
        let mut open = self.0.open.borrow_mut();
        let place = open.iter().position(|it| it == key).expect("an upload is closed once");
        open.remove(place);
    }
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes)))
}

impl Objects for MemoryObjects {
    type Upload = MemoryUpload;

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, ObjectsError> {
        self.call("list", prefix)?;
        let listed = |(key, it): (&String, &Object)| Listed {
            key: key.clone(),
            size: it.bytes.len() as u64,
            modified_at: it.modified_at,
        };
        Ok(self.0.objects.borrow().iter().filter(|(key, _)| key.starts_with(prefix)).map(listed).collect())
    }

    async fn read(&self, key: &str) -> Result<Option<Text>, ObjectsError> {
        self.call("read", key)?;
        let text = |bytes: Vec<u8>| Text { etag: etag(&bytes), text: String::from_utf8(bytes).unwrap() };
        Ok(self.get(key).map(text))
    }

    async fn write(&self, key: &str, text: &str, condition: If) -> Result<Written, ObjectsError> {
        self.call("write", key)?;
        let found = self.get(key).map(|bytes| etag(&bytes));
        let holds = match condition {
            If::Always => true,
            If::Absent => found.is_none(),
            If::Still(expected) => found == Some(expected),
        };
        if !holds {
            return Ok(Written::Conflict);
        }
        self.put(key, text);
        Ok(Written::Yes)
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        self.call("delete", key)?;
        self.remove(key);
        Ok(())
    }

    async fn upload(&self, key: &str) -> Result<MemoryUpload, ObjectsError> {
        self.call("upload", key)?;
        self.0.open.borrow_mut().push(key.to_owned());
        Ok(MemoryUpload { to: self.clone(), key: key.to_owned(), bytes: vec![] })
    }
}

impl Upload for MemoryUpload {
    // Small, so that a test needs no megabytes to have several.
    const PART: usize = 1000;

    async fn part(&mut self, bytes: Vec<u8>) -> Result<(), ObjectsError> {
        self.to.call("part", &self.key)?;
        let inner = &self.to.0;
        inner.largest_part.set(inner.largest_part.get().max(bytes.len()));
        self.bytes.extend(bytes);
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), ObjectsError> {
        self.to.call("complete", &self.key)?;
        self.to.closed(&self.key);
        self.to.put(&self.key, std::mem::take(&mut self.bytes));
        Ok(())
    }

    async fn abort(&mut self) -> Result<(), ObjectsError> {
        self.to.call("abort", &self.key)?;
        self.to.closed(&self.key);
        Ok(())
    }
}
