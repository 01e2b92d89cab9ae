//! xsm_op (`xsm/flask_op.h`): numbers of the calls that the toolstack probes with.

/// Interface version of FLASK.
pub const FLASK_INTERFACE_VERSION: u32 = 1;
/// Asks whether the policy is enforced.
pub const FLASK_GETENFORCE: u32 = 2;
/// Turns a context into a security id.
pub const FLASK_CONTEXT_TO_SID: u32 = 4;
/// Turns a security id into a context.
pub const FLASK_SID_TO_CONTEXT: u32 = 5;
