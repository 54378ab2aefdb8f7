//! One scenario per behaviour, told in the words of [`world::World`].

mod consumer;
mod consumer_model;
mod joining;
mod leaving;
mod limits;
mod model;
mod offsets;
mod restart;
mod statics;
mod syncing;
mod world;
