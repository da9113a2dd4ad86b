//! The SDK's own clients against the endpoint.
