//! What a caller does to the server: hooks, snapshots, a past that is forgotten, watches that end. Kube's own client and
//! watcher are on the other side; time is virtual.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod past;
#[cfg(test)]
mod watches;
