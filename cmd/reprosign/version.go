package main

import (
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

type versionDocument struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Revision string `json:"revision,omitzero"`
	Modified bool   `json:"modified,omitzero"`
	Go       string `json:"go"`
}

func (a *app) versionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  reprosign version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { // without the settings: it must work when they are broken
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			d := versionDocument{Schema: "reprosign/version/v1", Version: "unknown"}
			if info, ok := debug.ReadBuildInfo(); ok {
				d.Version, d.Go = info.Main.Version, info.GoVersion
				for _, s := range info.Settings {
					switch s.Key {
					case "vcs.revision":
						d.Revision = s.Value
					case "vcs.modified":
						d.Modified = s.Value == "true"
					}
				}
			}
			if output == "json" {
				return a.printJSON(d)
			}
			a.print("reprosign %s %s %s", d.Version, d.Revision, d.Go)
			return nil
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// outputFlag defines -o; the first form is the default.
func outputFlag(cmd *cobra.Command, output *string, forms ...string) {
	cmd.Flags().StringVarP(output, "output", "o", forms[0], "form of the result: "+strings.Join(forms, " or "))
	complete(cmd, "output", forms...)
}
