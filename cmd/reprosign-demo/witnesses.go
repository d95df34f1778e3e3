package main

import (
	"context"
	"strings"
)

// witnessNames are the witnesses of the log: two others, who run one for it,
// each under a name of its own.
var witnessNames = []string{"lumen", "orchard"}

// witnessKey is what a witness's key is called.
func witnessKey(name string) string { return name + ".witness.example" }

// startWitnesses starts the two witnesses, which know of the log its key and
// nothing else.
func (d *demo) startWitnesses(ctx context.Context) error {
	for _, name := range witnessNames {
		address, err := freeAddress(ctx)
		if err != nil {
			return err
		}
		settings := section{
			"name": witnessKey(name), "key": d.place.party(name, "witness.pem"), "state": d.place.party(name, "memory"),
			"logs": []string{d.keys.verifier[logOrigin].String()}, "listen": address,
		}
		file, err := d.configure(name, configFile, settings)
		if err != nil {
			return err
		}
		if _, err := d.reprosign(ctx, "witness", "init", "--config", file); err != nil {
			return err
		}
		if err := d.serve(ctx, name, cliName+" witness", "metrics", settings); err != nil {
			return err
		}
		d.witnesses = append(d.witnesses, section{"name": witnessKey(name), "url": "http://" + address})
	}
	d.screen.event("witnesses", "%s watch the log; nothing is public, and so nothing signed, before both have cosigned it", strings.Join(witnessNames, " and "))
	return nil
}
