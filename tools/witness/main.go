// Command witness serves the reference implementation of a C2SP witness (github.com/transparency-dev/witness, which
// omniwitness is made of) for a local list of logs, in memory. The tests of Countersign submit its checkpoints to it.
//
//	witness NAME LOGS
//
// LOGS is a file with the key of one log on each line. It makes a key for itself, and prints the key and its address.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	f_note "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/config"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: witness NAME LOGS"))
	}
	if err := serve(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fail(err)
	}
}

func serve(ctx context.Context, name, file string) error {
	logs, err := readLogs(file)
	if err != nil {
		return err
	}
	key, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return err
	}
	signer, err := f_note.NewSignerForCosignatureV1(key)
	if err != nil {
		return err
	}
	state := inmemory.New()
	known := []config.Log{}
	for _, log := range logs {
		known = append(known, config.Log{Verifier: log, Origin: log.Name()})
	}
	if err := state.AddLogs(ctx, known); err != nil {
		return err
	}
	reference, err := witness.New(ctx, witness.Opts{
		Persistence: state,
		Signers:     []note.Signer{signer},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			log, ok := logs[origin]
			return log, ok, nil
		},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	vkey, err := f_note.VKeyToCosignatureV1(public)
	if err != nil {
		return err
	}
	fmt.Printf("%s\nhttp://%s\n", vkey, listener.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(reference).AddCheckpoint)
	return http.Serve(listener, mux)
}

// readLogs reads the keys of the logs, by their origins.
func readLogs(file string) (map[string]note.Verifier, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	logs := map[string]note.Verifier{}
	for line := range bytes.Lines(text) {
		verifier, err := note.NewVerifier(strings.TrimSpace(string(line)))
		if err != nil {
			return nil, err
		}
		logs[verifier.Name()] = verifier
	}
	return logs, nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
