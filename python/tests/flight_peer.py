"""A Flight server of Arrow's C++ library, as a peer that others made: flight_peer.py <location>, or with a certificate and key behind it."""

from __future__ import annotations

import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl

ROWS = 600_000
TABLE = pa.table(
    {
        "n": pa.array(np.arange(ROWS)),
        "s": pa.DictionaryArray.from_arrays(np.arange(ROWS, dtype=np.int32) % 1000, [f"text {i}" for i in range(1000)]),
        "x": pa.array(np.arange(ROWS) / 7),
    }
)


class Peer(fl.FlightServerBase):
    """Answers with what it was asked."""

    def do_action(self, _context: object, action: fl.Action) -> list[fl.Result]:
        if action.type == "fail":
            raise fl.FlightServerError("this failed")
        if action.type == "sleep":
            time.sleep(float(action.body.to_pybytes()))
        return [fl.Result(action.body)]

    def do_get(self, _context: object, ticket: fl.Ticket) -> fl.FlightDataStream:
        match ticket.ticket:
            case b'"big"':
                return fl.RecordBatchStream(TABLE.to_reader(100_000))
            case b'"empty"':
                return fl.RecordBatchStream(TABLE.slice(0, 0))
            case b'"break"':

                def batches() -> object:
                    yield TABLE.select(["n"]).slice(0, 10).to_batches()[0]
                    raise fl.FlightServerError("broke in the middle")

                return fl.GeneratorStream(TABLE.select(["n"]).schema, batches())
        raise fl.FlightUnavailableError("no such stream")

    def do_put(self, _context: object, descriptor: fl.FlightDescriptor, reader: object, writer: object) -> None:
        if descriptor.command == b'"refuse"':
            raise fl.FlightServerError("refused")
        rows = total = 0
        for chunk in reader:
            rows += chunk.data.num_rows
            total += pa.compute.sum(chunk.data.column("n")).as_py()
            if descriptor.command == b'"stop"':
                raise fl.FlightServerError("stopped in the middle")
        writer.write(f"[{rows}, {total}]".encode())


def main() -> None:
    certificates = [(open(sys.argv[2]).read(), open(sys.argv[3]).read())] if len(sys.argv) > 2 else None
    server = Peer(sys.argv[1], tls_certificates=certificates)
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
