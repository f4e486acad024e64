//! `/griot/sync/1` on the wire: one message each way, `[len u32 LE][bytes]`.
//!
//! What the bytes mean is the relay's business. The length is checked before anything is allocated for it.

use std::io;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use griot_protocol::limits::SYNC_BYTES_MAX;
use libp2p::{StreamProtocol, request_response};

/// The protocol's name. It negotiates: a node that speaks a later one beside it is still understood.
pub(super) const SYNC_PROTOCOL: StreamProtocol = StreamProtocol::new("/griot/sync/1");

/// A message on the wire: [`SYNC_BYTES_MAX`] of records, and the slack that its own framing needs.
pub const SYNC_MESSAGE_BYTES_MAX: usize = SYNC_BYTES_MAX + 64 * 1024;

/// What is set aside for a message before its bytes come: a peer that claims a megabyte and sends nothing holds this.
const RESERVE_BYTES: usize = 16 * 1024;

/// Reads and writes sync messages.
#[derive(Clone, Debug, Default)]
pub struct SyncCodec;

async fn read<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Bytes> {
    let mut len = [0; 4];
    io.read_exact(&mut len).await?;
    let len = u32::from_le_bytes(len) as usize;
    if len > SYNC_MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "sync message too long"));
    }
    let mut message = Vec::with_capacity(len.min(RESERVE_BYTES));
    io.take(len as u64).read_to_end(&mut message).await?;
    if message.len() != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message.into())
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, message: Bytes) -> io::Result<()> {
    if message.len() > SYNC_MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "sync message too long"));
    }
    io.write_all(&(message.len() as u32).to_le_bytes()).await?;
    io.write_all(&message).await?;
    io.flush().await
}

impl request_response::Codec for SyncCodec {
    type Protocol = StreamProtocol;
    type Request = Bytes;
    type Response = Bytes;

    async fn read_request<T: AsyncRead + Unpin + Send>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes> {
        read(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Bytes> {
        read(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Bytes,
    ) -> io::Result<()> {
        write(io, request).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Bytes,
    ) -> io::Result<()> {
        write(io, response).await
    }
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};

    use super::*;

    #[test]
    fn messages_read_back() {
        for len in [0, 1, RESERVE_BYTES + 1, SYNC_MESSAGE_BYTES_MAX] {
            let message = Bytes::from(vec![7; len]);
            let mut wire = Cursor::new(Vec::new());
            block_on(write(&mut wire, message.clone())).unwrap();
            wire.set_position(0);
            assert_eq!(block_on(read(&mut wire)).unwrap(), message);
        }
    }

    #[test]
    fn what_is_too_long_is_neither_written_nor_read() {
        let mut wire = Cursor::new(Vec::new());
        let error = block_on(write(&mut wire, vec![0; SYNC_MESSAGE_BYTES_MAX + 1].into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(wire.into_inner().is_empty());
        for len in [SYNC_MESSAGE_BYTES_MAX as u32 + 1, u32::MAX] {
            let error = block_on(read(&mut Cursor::new(len.to_le_bytes()))).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let mut wire = 9u32.to_le_bytes().to_vec();
        wire.extend_from_slice(b"only 7.");
        assert_eq!(block_on(read(&mut Cursor::new(wire))).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
