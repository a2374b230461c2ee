import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./kit/tokens.css";
import "./kit/base.css";
import { queries } from "./api/query";
import { Gate } from "./app/gate";
import { router } from "./app/router";
import { session } from "./app/session";

const place = document.getElementById("root");
if (!place) throw new Error("index.html has no element `root`");
void session.start();
createRoot(place).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <Gate>
        <RouterProvider router={router} />
      </Gate>
    </QueryClientProvider>
  </StrictMode>,
);
