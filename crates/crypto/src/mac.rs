//! HMAC (RFC 2104) by OpenSSL's `EVP_MAC`, with everything that depends on the hash alone set up once.
//!
//! The `openssl` crate offers HMAC by way of a `PKey` and a `Signer` only, for which OpenSSL looks up a key
//! manager, a MAC and a digest by name each time: several times the work of the HMAC over a few hundred
//! bytes, of which a Main Mode has a dozen. It has no safe wrapper of `EVP_MAC`, so this is one.
//!
//! # Why this is sound
//!
//! - A [`Template`] and a [`Context`] own their pointer, which is not null, and free it once, when dropped.
//! - A template is set up before it is shared and never changed afterwards: `EVP_MAC_CTX_dup` takes it as
//!   `const`, so that threads may copy it at the same time.
//! - All buffers are slices of ours, given with their own lengths; OpenSSL keeps none of them: a key is
//!   copied into the context, which is wiped when it is freed.
#![allow(
    unsafe_code,
    reason = "the one way to EVP_MAC; the argument stands above"
)]

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

use openssl::error::ErrorStack;
use openssl_sys as ffi;

/// `OSSL_PARAM_UTF8_STRING` of OpenSSL's core.h, which `openssl-sys` does not have.
const UTF8_STRING: u32 = 4;
/// Bytes of the longest HMAC, that of SHA-512.
const LONGEST: usize = 64;

/// HMAC with a certain hash, before it has a key.
pub(crate) struct Template(Context);

// SAFETY: see the module: nothing changes the context behind a template, and OpenSSL ties no context to a
// thread.
unsafe impl Send for Template {}
// SAFETY: as above.
unsafe impl Sync for Template {}

struct Context(NonNull<ffi::EVP_MAC_CTX>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the pointer is ours and is not used again.
        unsafe { ffi::EVP_MAC_CTX_free(self.0.as_ptr()) }
    }
}

impl Context {
    fn of(pointer: *mut ffi::EVP_MAC_CTX) -> Result<Self, ErrorStack> {
        NonNull::new(pointer)
            .map(Context)
            .ok_or_else(ErrorStack::get)
    }
}

impl Template {
    /// HMAC with the hash of that name.
    pub(crate) fn new(digest: &'static CStr) -> Result<Self, ErrorStack> {
        // SAFETY: the name is a C string; no library context and no properties are the defaults.
        let mac = unsafe { ffi::EVP_MAC_fetch(ptr::null_mut(), c"HMAC".as_ptr(), ptr::null()) };
        let mac = NonNull::new(mac).ok_or_else(ErrorStack::get)?;
        // SAFETY: `mac` is there; the context takes a reference of its own, and ours is given back.
        let context = unsafe {
            let context = ffi::EVP_MAC_CTX_new(mac.as_ptr());
            ffi::EVP_MAC_free(mac.as_ptr());
            Context::of(context)?
        };
        let digest_parameter = ffi::OSSL_PARAM {
            key: c"digest".as_ptr(),
            data_type: UTF8_STRING,
            // OpenSSL reads it only.
            data: digest.as_ptr().cast::<c_void>().cast_mut(),
            data_size: digest.to_bytes().len(),
            return_size: 0,
        };
        // SAFETY: builds a value.
        let end = unsafe { ffi::OSSL_PARAM_construct_end() };
        let parameters = [digest_parameter, end];
        // SAFETY: the list has its end, and lives as long as the call, as does what it points to.
        done(unsafe { ffi::EVP_MAC_CTX_set_params(context.0.as_ptr(), parameters.as_ptr()) })?;
        Ok(Template(context))
    }

    /// The HMAC of all parts, one after the other.
    pub(crate) fn mac(&self, key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, ErrorStack> {
        // SAFETY: the template's context is there, and nothing changes it.
        let context = Context::of(unsafe { ffi::EVP_MAC_CTX_dup(self.0.0.as_ptr()) })?;
        let context = context.0.as_ptr();
        // A null key would mean: that of before. One of no bytes is not null.
        // SAFETY: key and length belong together; no parameters is allowed.
        done(unsafe { ffi::EVP_MAC_init(context, key.as_ptr(), key.len(), ptr::null()) })?;
        for part in parts {
            // SAFETY: part and length belong together.
            done(unsafe { ffi::EVP_MAC_update(context, part.as_ptr(), part.len()) })?;
        }
        let mut mac = vec![0; LONGEST];
        let mut len = 0;
        // SAFETY: OpenSSL writes at most as many bytes as it is told there are.
        done(unsafe { ffi::EVP_MAC_final(context, mac.as_mut_ptr(), &raw mut len, mac.len()) })?;
        mac.truncate(len);
        Ok(mac)
    }
}

/// HMAC with a certain hash and key, for many messages: the key is set up once.
pub(crate) struct Keyed(Context);

// SAFETY: OpenSSL ties no context to a thread, and whoever changes it has it alone.
unsafe impl Send for Keyed {}

impl Keyed {
    /// HMAC with the hash of that name and this key.
    pub(crate) fn new(digest: &'static CStr, key: &[u8]) -> Result<Self, ErrorStack> {
        let Template(context) = Template::new(digest)?;
        // SAFETY: key and length belong together; no parameters is allowed.
        done(unsafe {
            ffi::EVP_MAC_init(context.0.as_ptr(), key.as_ptr(), key.len(), ptr::null())
        })?;
        Ok(Self(context))
    }

    /// The HMAC of all parts, one after the other; as much of it as there is room for.
    pub(crate) fn mac(&mut self, parts: &[&[u8]], out: &mut [u8]) -> Result<(), ErrorStack> {
        let context = self.0.0.as_ptr();
        // SAFETY: a null key means: that of before.
        done(unsafe { ffi::EVP_MAC_init(context, ptr::null(), 0, ptr::null()) })?;
        for part in parts {
            // SAFETY: part and length belong together.
            done(unsafe { ffi::EVP_MAC_update(context, part.as_ptr(), part.len()) })?;
        }
        let (mut mac, mut len) = ([0; LONGEST], 0);
        // SAFETY: OpenSSL writes at most as many bytes as it is told there are.
        done(unsafe { ffi::EVP_MAC_final(context, mac.as_mut_ptr(), &raw mut len, mac.len()) })?;
        let len = len.min(out.len());
        out[..len].copy_from_slice(&mac[..len]);
        Ok(())
    }
}

fn done(returned: i32) -> Result<(), ErrorStack> {
    if returned == 1 {
        Ok(())
    } else {
        Err(ErrorStack::get())
    }
}
