//! How a job's parts that have no serialisation of their own cross a border between processes:
//! algorithms by the names of the configuration, secrets as bytes. For a channel that nobody else reads.

/// A module for `#[serde(with)]` of an algorithm.
macro_rules! by_name {
    ($module:ident, $type:ty) => {
        pub(crate) mod $module {
            use serde::de::{Deserialize, Deserializer, Error};
            use serde::ser::Serializer;

            pub(crate) fn serialize<S: Serializer>(
                value: &$type,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(value.row().name)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$type, D::Error> {
                let name = String::deserialize(deserializer)?;
                <$type>::from_name(&name)
                    .ok_or_else(|| D::Error::custom(format!("no algorithm is named {name:?}")))
            }
        }
    };
}

by_name!(group, crypto::Group);
by_name!(hash, crypto::Hash);

pub(crate) mod secret {
    use crypto::Secret;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        secret: &Secret,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        secret.as_bytes().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Secret, D::Error> {
        Vec::deserialize(deserializer).map(Secret::new)
    }
}

/// A key pair that may not be there yet.
pub(crate) mod share {
    use crypto::Secret;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(crate) fn serialize<S: Serializer>(
        share: &Option<(Vec<u8>, Secret)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let bytes = share
            .as_ref()
            .map(|(public, private)| (public, private.as_bytes()));
        bytes.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<(Vec<u8>, Secret)>, D::Error> {
        let share: Option<(Vec<u8>, Vec<u8>)> = Option::deserialize(deserializer)?;
        Ok(share.map(|(public, private)| (public, Secret::new(private))))
    }
}
