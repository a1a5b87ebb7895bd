//! The domain of landlord: specs, stages, plans and ports, without any IO.
