//! TRANSACTION exchanges: an attributes payload there and one back, under HASH(1) (draft-dukes-ike-mode-cfg-02
//! section 3). XAUTH and Mode Config are made of them.

use audit::Cause;
use crypto::CryptoError;
use isakmp::config::{ConfigAttributes, ConfigType};
use isakmp::{
    Attribute, AttributeValue, Cookie, Datagram, ExchangeType, Payload, PayloadType, RawPayload,
};

use zeroize::Zeroizing;

use super::negotiation::header;
use super::protection::Keys;

/// A message of a TRANSACTION, decrypted and authentic.
#[derive(Debug)]
pub(crate) struct Heard {
    pub config: ConfigAttributes,
    /// The IV of the exchange's next message.
    pub next_iv: Vec<u8>,
}

/// Why a message is not taken: 4976.
pub(crate) type Unread = (Cause, String);

/// Decrypts and checks a message. `iv`: where the exchange began already, else it is that of a first message.
pub(crate) fn open(
    keys: &Keys,
    last_block: &[u8],
    iv: Option<&[u8]>,
    datagram: &Datagram<'_>,
) -> Result<Heard, Unread> {
    let tampered = |why: &str| (Cause::PacketTampered, why.to_owned());
    let header = &datagram.header;
    let first;
    let iv = if let Some(iv) = iv {
        iv
    } else {
        first = keys
            .exchange_iv(last_block, header.message_id)
            .map_err(|error| tampered(&error.to_string()))?;
        &first
    };
    let opened = keys
        .open(header, iv, datagram.body)
        .map_err(|_| tampered("it does not decrypt"))?;
    let rest = keys
        .authenticated(header.message_id, &opened)
        .ok_or_else(|| tampered("its HASH is wrong"))?;
    of(keys, &rest, datagram)
}

/// The attributes of a message that was decrypted and checked.
pub(crate) fn of(
    keys: &Keys,
    rest: &[RawPayload],
    datagram: &Datagram<'_>,
) -> Result<Heard, Unread> {
    let found = rest.iter().find(|raw| raw.kind == PayloadType::ATTRIBUTES);
    match found.map(Payload::parse) {
        Some(Ok(Payload::Attributes(config))) => Ok(Heard {
            config,
            next_iv: keys.last_block(datagram.body),
        }),
        Some(Err(error)) => Err((Cause::PacketMalformed, error.to_string())),
        _ => Err((
            Cause::PacketMalformed,
            "a TRANSACTION without attributes".to_owned(),
        )),
    }
}

/// Builds a message; gives it and the IV of the next one. `iv`: where the exchange began already.
pub(crate) fn build(
    keys: &Keys,
    last_block: &[u8],
    iv: Option<&[u8]>,
    cookies: (Cookie, Cookie),
    message_id: u32,
    config: &ConfigAttributes,
) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let payload = Payload::Attributes(config.clone()).to_raw();
    let (_, rest) = isakmp::emit_chain(std::slice::from_ref(&payload));
    let rest = Zeroizing::new(rest);
    let hash = Payload::Hash(keys.hash_1(message_id, &rest)?).to_raw();
    let (first, chain) = isakmp::emit_chain(&[hash, payload]);
    // A user's password may be in it.
    let chain = Zeroizing::new(chain);
    let ciphertext = match iv {
        Some(iv) => keys.seal(iv, &chain)?,
        None => keys.seal(&keys.exchange_iv(last_block, message_id)?, &chain)?,
    };
    let next_iv = keys.last_block(&ciphertext);
    let header = header(cookies, ExchangeType::TRANSACTION, message_id);
    let message = isakmp::build::encrypted_message(header, first, &ciphertext);
    Ok((message, next_iv))
}

/// What answers a request or a set.
pub(crate) fn answer_to(config: &ConfigAttributes, attributes: Vec<Attribute>) -> ConfigAttributes {
    let kind = match config.kind {
        ConfigType::SET => ConfigType::ACK,
        _ => ConfigType::REPLY,
    };
    ConfigAttributes {
        kind,
        identifier: config.identifier,
        attributes,
    }
}

/// The bytes of an attribute, in either encoding.
pub(crate) fn bytes(attribute: &Attribute) -> Vec<u8> {
    match &attribute.value {
        AttributeValue::Short(value) => value.to_be_bytes().to_vec(),
        AttributeValue::Long(bytes) => bytes.clone(),
    }
}

/// The first attribute of a class.
pub(crate) fn attribute(config: &ConfigAttributes, class: u16) -> Option<&Attribute> {
    config.attributes.iter().find(|a| a.class == class)
}
